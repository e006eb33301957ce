"""Token counts and the simulated prompt cache."""

from __future__ import annotations

from app.cacheable import CACHE_LIFETIME_S
from app.offline.usage import PromptCache, chat_usage, count_tokens

PREFIX = "x" * 4 * 4_096  # 4,096 tokens


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_scripts_that_say_more_with_a_character_count_more_tokens() -> None:
    assert [count_tokens(text) for text in ("", "abcd", "вода", "設定画面")] == [0, 1, 2, 3]


def test_a_prefix_is_written_once_and_then_read() -> None:
    cache = PromptCache(clock_s=Clock())
    assert cache.look_up("claude-haiku-4-5", PREFIX) == (0, 4_096)
    assert cache.look_up("claude-haiku-4-5", PREFIX) == (4_096, 0)


def test_models_do_not_share_a_cache() -> None:
    cache = PromptCache(clock_s=Clock())
    cache.look_up("claude-haiku-4-5", PREFIX)
    assert cache.look_up("claude-sonnet-4-6", PREFIX) == (0, 4_096)


def test_a_prefix_below_the_models_minimum_is_never_cached() -> None:
    cache = PromptCache(clock_s=Clock())
    for _ in range(2):
        assert cache.look_up("claude-haiku-4-5", PREFIX[:-4]) == (0, 0)


def test_between_what_is_documented_and_what_was_measured_no_saving_is_promised() -> None:
    cache = PromptCache(clock_s=Clock())
    assert cache.look_up("claude-sonnet-4-6", PREFIX[: 4 * 2_047]) == (0, 0)
    assert cache.look_up("claude-sonnet-4-6", PREFIX[: 4 * 2_048]) == (0, 2_048)


def test_a_prefix_lives_five_minutes_from_its_last_use() -> None:
    clock = Clock()
    cache = PromptCache(clock_s=clock)
    cache.look_up("m", PREFIX)
    clock.now_s = CACHE_LIFETIME_S
    assert cache.look_up("m", PREFIX) == (4_096, 0)
    clock.now_s = 2 * CACHE_LIFETIME_S + 1
    assert cache.look_up("m", PREFIX) == (0, 4_096)


def test_always_warm_forgets_the_clock() -> None:
    clock = Clock()
    cache = PromptCache(always_warm=True, clock_s=clock)
    cache.look_up("m", PREFIX)
    clock.now_s = 1e6
    assert cache.look_up("m", PREFIX) == (4_096, 0)


def test_prompt_tokens_include_cached_tokens() -> None:
    usage = chat_usage(prompt=PREFIX + "abcd", completion_tokens=5, cached=4_096, written=0)
    assert usage["prompt_tokens"] == 4_097
    assert usage["total_tokens"] == 4_102
