"""The completion map: what of a partition is finished, and how it survives in an offset commit."""

import random

from app.runtime.completion import MAP_CHARS_MAX, CompletionMap


def taken(base: int, offsets: range) -> CompletionMap:
    completion = CompletionMap(base=base)
    for offset in offsets:
        assert completion.take(offset)
    return completion


def test_base_is_the_lowest_unfinished_offset() -> None:
    completion = taken(10, range(10, 15))
    completion.finish([12, 10])
    assert (completion.base, completion.is_finished(12), completion.is_finished(11)) == (11, True, False)


def test_base_passes_everything_when_all_is_finished() -> None:
    completion = taken(10, range(10, 15))
    completion.finish(range(10, 15))
    assert (completion.base, completion.bits, completion.span) == (15, 0, 0)


def test_offsets_never_polled_count_as_finished() -> None:
    completion = CompletionMap(base=0)
    for offset in (0, 3, 7):
        completion.take(offset)
    completion.finish([0, 3])
    assert completion.base == 7


def test_a_gap_at_the_base_is_passed_when_the_next_record_is_polled() -> None:
    completion = CompletionMap(base=5)
    completion.take(9)
    assert completion.base == 9


def test_an_offset_is_taken_once() -> None:
    completion = taken(0, range(3))
    assert not completion.take(1)


def test_restored_map_skips_what_is_finished() -> None:
    completion = taken(100, range(100, 120))
    offset, metadata = completion.encoded_with([103, 110])
    restored = CompletionMap.restore(offset, metadata)
    assert [o for o in range(100, 120) if not restored.take(o)] == [103, 110]


def test_encoding_ahead_leaves_the_map_as_it_is() -> None:
    completion = taken(0, range(5))
    assert completion.encoded_with([0, 1])[0] == 2
    assert (completion.base, completion.bits) == (0, 0)


def test_a_stuck_head_fits_the_metadata_limit_however_far_others_run() -> None:
    completion = taken(0, range(200_000))
    _, metadata = completion.encoded_with(range(1, 200_000))
    assert len(metadata) <= MAP_CHARS_MAX


def test_2_500_unfinished_of_100_000_fit_the_metadata_limit() -> None:
    completion = taken(0, range(100_000))
    unfinished = {0, *random.Random(1).sample(range(100_000), 2_500)}
    offset, metadata = completion.encoded_with(o for o in range(100_000) if o not in unfinished)
    assert len(metadata) <= MAP_CHARS_MAX
    restored = CompletionMap.restore(offset, metadata)
    assert {o for o in range(100_000) if not restored.is_finished(o)} == unfinished


def test_16_000_offsets_fit_whatever_is_finished() -> None:
    completion = taken(0, range(16_000))
    finished = [o for o in range(1, 16_000) if random.Random(o).random() < 0.5]
    assert len(completion.encoded_with(finished)[1]) <= MAP_CHARS_MAX


def test_metadata_of_another_hand_restores_to_the_bare_offset() -> None:
    for metadata in ("", "reset by an operator", "1:not base64!", "2:AAAA"):
        assert CompletionMap.restore(7, metadata) == CompletionMap(base=7)


def test_union_keeps_what_either_side_finished() -> None:
    ours, theirs = taken(0, range(10)), taken(0, range(10))
    ours.finish([5])
    theirs.finish([0, 1, 7])
    merged = ours.union(theirs)
    assert [o for o in range(10) if merged.is_finished(o)] == [0, 1, 5, 7]


def test_any_order_of_finishing_and_restarting_finishes_each_record_once() -> None:
    """Against a plain model: random gaps, orders and restarts; nothing is lost, nothing handled twice."""
    for seed in range(50):
        rng = random.Random(seed)
        log = [offset for offset in range(300) if rng.random() < 0.8]
        offset, metadata = 0, ""
        handled: list[int] = []
        while True:
            completion = CompletionMap.restore(offset, metadata)
            todo = [o for o in log if o >= completion.base and completion.take(o)]
            if not todo:
                break
            rng.shuffle(todo)
            for start in range(0, rng.randint(1, len(todo)), 20):
                batch = todo[start : start + 20]
                offset, metadata = completion.encoded_with(batch)
                completion.finish(batch)
                handled += batch
        assert sorted(handled) == log
