"""Figures from answers: plain values in, figures out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from app.evaluation import calibration, cost, replies, retrieval
from app.evaluation.bm25 import Bm25
from app.evaluation.classification import apart, recall_at
from app.evaluation.data import once
from app.evaluation.figures import Figure, flat, merged
from app.evaluation.page import html
from app.evaluation.parts import spread
from app.evaluation.tickets import Call, Ended, cacheable
from app.models.prices import Price, Prices
from app.offline.kernel import SCALE, Kernel, error_left_out, fit
from app.offline.labels import classify, train
from schemas.tickets import Audience, Draft, JointConfidence, Passage, Route, Ticket, TicketClassified, TicketRouted
from schemas.usage import Usage
from tests.events import drafted, passage, received, verdict

MODEL = "claude-haiku-4-5"
PRICES = Prices({MODEL: Price(input=Decimal(100), cached=Decimal(10), cache_write=Decimal(125))})
LONG, SHORT = "x" * 4 * 5_000, "x" * 4 * 4_000  # either side of this model's 4,096


def call(prefix: str) -> Call:
    return Call(MODEL, prefix, Usage(input_tokens=6_000))


def routed(citations: tuple[str, ...], *, body: str = "Hi", passages: tuple[Passage, ...] = (passage(),)) -> Ended:
    event = TicketRouted.following(
        drafted(passages=passages, draft=Draft(body=body, citations=citations, confidence=0.9)),
        grounding=None, route=Route.REVIEW, reasons=("test",),
    )  # fmt: skip
    return Ended(received(), event)


def citations_of(ended: Ended) -> float:
    secret = "Agents check the last four digits of the card before they change an address."
    return replies.citations([ended], public={"printing"}, internal={"secret": secret}, model="m").value


def test_a_part_measured_again_leaves_the_other_figures_as_they_were() -> None:
    first = merged({}, [Figure("retrieval.hit5", 0.3, 9, "m"), Figure("xsid", 0.8, 9, "m")], date="1", data="d")
    second = merged(first, [Figure("retrieval.hit5", 0.4, 9, "m")], date="2", data="d")
    assert {name: (f["value"], f["date"]) for name, f in flat(second).items()} == {
        "retrieval.hit5": (0.4, "2"), "xsid": (0.8, "1"),
    }  # fmt: skip


def test_the_page_shows_what_is_missed_and_escapes_notes() -> None:
    found = merged(
        {}, [Figure("xsid", 0.8, 9, "m", at_least=0.86, note="<b>", details={"de": 0.9})], date="1", data="d"
    )
    page = html(found)
    assert 'class="n no"' in page and "&lt;b&gt;" in page and "<svg" in page


def test_a_warm_prompt_is_read_from_the_cache_and_a_cold_one_is_written() -> None:
    warm, cold = (cost._mean([[call(LONG)]] * 2, times, PRICES, cost.cached_tokens_min) for times in ([0, 1], [0, 999]))
    assert warm == pytest.approx((2 * 1_000 * 100 + 5_000 * 125 + 5_000 * 10) / 2e6)
    assert cold == pytest.approx((2 * 1_000 * 100 + 2 * 5_000 * 125) / 2e6)


def test_a_prompt_below_the_shortest_cacheable_length_costs_the_same_with_and_without_a_cache() -> None:
    tickets = [[call(SHORT)]] * 3
    cached, uncached = cost.figures(tickets, [0, 1, 2], PRICES, model=MODEL)
    assert cached.value == uncached.value


def test_arrivals_keep_their_bursts_at_any_rate() -> None:
    times = cost.times_at([10, 11, 30], 3, 3)
    assert times == pytest.approx([0, 86_400 / 20, 86_400])


def test_only_the_system_prompt_up_to_its_last_breakpoint_is_cacheable() -> None:
    parts: list[dict[str, Any]] = [
        {"text": "a", "cache_control": {"type": "ephemeral"}},
        {"text": "b", "cache_control": {"type": "ephemeral"}},
        {"text": "c"},
    ]
    assert cacheable([{"role": "system", "content": parts}, {"role": "user", "content": "d"}]) == "ab"


@pytest.mark.parametrize(
    "bad",
    [
        routed(("elsewhere",)),
        routed(("secret",), passages=(passage("secret"),)),
        routed((), passages=(passage("secret"),)),
        routed((), body="Agents check the last four digits of the card before they change an address."),
        Ended(received(), None, failure="away"),
    ],
    ids=["not found for it", "internal", "shown an internal one as public", "quotes an internal one", "no reply"],
)
def test_each_fault_of_a_reply_counts(bad: Ended) -> None:
    assert citations_of(bad) == 0.0


def test_a_reply_that_cites_what_was_found_is_valid() -> None:
    assert citations_of(routed(("printing",))) == 1.0


def test_an_internal_article_may_inform_a_person() -> None:
    internal = passage("secret", audience=Audience.INTERNAL)
    assert citations_of(routed(("printing",), passages=(passage(), internal))) == 1.0


def scored(raw: float, *passages: Passage) -> Ended:
    ended = routed((), passages=passages)
    assert isinstance(ended.event, TicketRouted)
    return Ended(ended.received, ended.event.model_copy(update={"confidence": JointConfidence(raw=raw)}))


def test_the_simulated_reviewer_approves_by_the_first_public_passage() -> None:
    linked, other, internal = passage(), passage("other"), passage("inside", audience=Audience.INTERNAL)
    ended = [scored(0.5, *passages) for passages in ((linked, other), (other, linked), (internal, linked), ())]
    found = calibration.reviewed(ended, {"t1": ["printing"]})
    assert [one.approved for one in found] == [True, False, True, False]


def test_only_tickets_with_a_linked_article_are_reviewed() -> None:
    assert calibration.reviewed([scored(0.5, passage()), Ended(received(), None)], {"t2": ["printing"]}) == []


def test_raw_scores_are_measured_beside_what_is_learnt_of_them_by_a_named_simulation() -> None:
    """Every other draft is right, at a raw score of 0.9."""
    ended = [scored(0.9, passage(("printing", "other")[number % 2])) for number in range(400)]
    raw, calibrated = calibration.figures(ended, {"t1": ["printing"]}, model="m")
    assert raw.value == pytest.approx(0.4) and calibrated.value < 0.01
    assert raw.rows == calibrated.rows == 300 and raw.note.startswith("simulated reviewer")


def test_too_few_reviews_give_no_figure() -> None:
    assert calibration.figures([scored(0.9, passage())] * 100, {"t1": ["printing"]}, model="m") == []


def test_wrong_labels_are_counted_as_wrong_and_named() -> None:
    ticket = Ticket(ticket_id="sumo-1424330", body="English, whatever the desk says.", locale="pl")
    event = TicketClassified.following(received(ticket=ticket), verdict=verdict(language="en"))
    figure = replies.language([Ended(received(ticket=ticket), event)], model="m")
    assert (figure.value, figure.note[:24]) == (0.0, "1 of 1 are wrong labels:")


def test_bm25_finds_the_rare_word() -> None:
    found = Bm25({"a": "print a page", "b": "print a bookmark", "c": "other"}).search("how to print a bookmark", 5)
    assert found == ["b", "a"]


async def test_search_and_bm25_are_measured_on_the_same_questions() -> None:
    rows = [
        {"text": "print", "gold_doc_ids": ["a"], "locale": "en"},
        {"text": "mark", "gold_doc_ids": ["b"], "locale": "de"},
    ]

    async def find(query: str, locale: str) -> list[str]:
        return ["a"]

    articles = {"a": "print", "b": "mark"}
    (found,) = await retrieval.measure(retrieval.judged(rows), find, articles, progress=lambda done, of: None)
    assert (found.locale, found.rows, found.search["hit@5"].mean, found.bm25["hit@5"].mean) == ("all", 2, 0.5, 1.0)


def test_rows_kept_apart_are_a_share_of_each_intent_and_the_same_every_time() -> None:
    rows = [{"text": str(n), "gold_intent": "ab"[n % 2]} for n in range(20)]
    trained, tested = apart(rows, 0.2, seed=0)
    assert [row["gold_intent"] for row in tested] == ["a", "a", "b", "b"]
    assert (trained, tested) == apart(rows, 0.2, seed=0) and not {r["text"] for r in trained} & {
        r["text"] for r in tested
    }


def test_fewer_tickets_are_taken_evenly() -> None:
    assert spread(list(range(10)), 3) == [0, 3, 6] and spread([1, 2], None) == [1, 2]


def test_a_text_that_comes_twice_counts_once() -> None:
    assert [row["id"] for row in once([{"id": 1, "text": "Hi  you"}, {"id": 2, "text": "hi you"}])] == [1]


def test_recall_is_taken_at_the_stated_share_of_false_alarms() -> None:
    assert recall_at([float(n) for n in range(100)], [0.0, 1.0, 50.0, 60.0], 0.05) == 0.5


def test_the_offline_model_learns_labels_and_is_unsure_of_what_is_like_no_row() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 384)).astype(np.float32)
    vectors[:30, :100] += 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    model = train(vectors, ["a"] * 30 + ["b"] * 30)
    noise = rng.standard_normal((1, 384)).astype(np.float32)
    known, far = classify(model, vectors[:1])[0], classify(model, noise)[0]
    assert known.label == "a" and known.confidence > far.confidence


def test_the_error_of_rows_left_out_is_that_of_fitting_without_each_of_them() -> None:
    vectors = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    labels, everyone = np.arange(12) % 3, np.arange(12)
    features = Kernel.of(vectors).features(vectors)
    errors = []
    for left_out in everyone:
        others = everyone != left_out
        weights = fit(features[np.ix_(others, others)], labels[others], 3) / SCALE
        errors.append(np.square(features[left_out, others] @ weights - np.eye(3)[labels[left_out]]).sum())
    assert error_left_out(features, labels, 3) == pytest.approx(np.mean(errors), rel=1e-3)
