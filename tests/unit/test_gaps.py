"""What the knowledge base lacks."""

import numpy as np
import pytest

from app.knowledge.gaps import TICKETS_MAX, clusters, common_words, lowest, text_of, weak
from schemas.tickets import BodyFormat, Category, Draft, Route, Ticket, TicketRouted
from tests.events import drafted, passage, verdict

X, Y = np.eye(4, dtype=np.float32)[:2]


def routed(**fields: object) -> TicketRouted:
    return TicketRouted.following(drafted(**fields), grounding=None, route=Route.REVIEW, reasons=("x",))


def why(event: TicketRouted, *, similarity_min: float = 0.5, rewritten: dict[str, str] | None = None) -> str:
    found = weak(event, similarity_min=similarity_min, rewritten=rewritten or {})
    return "" if found is None else "; ".join(found.why)


def test_a_ticket_that_was_answered_is_no_gap() -> None:
    assert why(routed()) == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"passages": ()}, "nothing was found"),
        ({"passages": (passage(similarity=0.4),)}, "similarity 0.40"),
        ({"draft": Draft(body="x", confidence=1)}, "cites nothing"),
        ({"draft": Draft(body="x", citations=("printing",), unanswered=("and?",), confidence=1)}, "left open"),
    ],
)
def test_poor_retrieval_is_a_gap(fields: dict[str, object], words: str) -> None:
    assert words in why(routed(**fields))


def test_a_draft_that_people_rewrote_is_a_gap() -> None:
    assert why(routed(), rewritten={"e1": "edited"}) == "the draft was edited"


def test_spam_is_no_gap() -> None:
    assert why(routed(passages=(), verdict=verdict(category=Category.SPAM))) == ""


def test_poor_is_the_lowest_tenth_where_no_threshold_is_given() -> None:
    events = [routed(passages=(passage(similarity=0.8 + at / 1_000),)) for at in range(101)]
    assert lowest(events) == pytest.approx(0.81)
    assert lowest([]) == -1


def test_near_texts_lie_together_and_the_largest_group_comes_first() -> None:
    vectors = np.stack([Y, X, X + Y / 10, X, Y]).astype(np.float32)
    assert clusters(vectors, np.zeros(4, np.float32)) == [[1, 3, 2], [0, 4]]


def test_a_direction_that_all_texts_share_does_not_count() -> None:
    """Cosines of such vectors are all above 0.98."""
    shared = np.array([0, 0, 10, 0], np.float32)
    vectors = np.stack([X, X, Y, Y]).astype(np.float32) + shared
    assert clusters(vectors, vectors.mean(axis=0)) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_few_and_equal_texts_are_ordinary(number: int) -> None:
    vectors = np.zeros((number, 4), np.float32)
    assert sorted(row for group in clusters(vectors, np.zeros(4, np.float32)) for row in group) == list(range(number))


def test_more_texts_than_the_limit_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        clusters(np.zeros((TICKETS_MAX + 1, 4), np.float32), np.zeros(4, np.float32))


def test_common_words_are_frequent_here_and_rare_elsewhere() -> None:
    assert common_words(["the red printer", "the printer jams"], ["the invoice", "the plan"])[0] == "printer"


def test_words_of_scripts_without_spaces_are_pairs_of_letters() -> None:
    assert "印刷" in common_words(["印刷できない", "印刷の方法"], ["解約したい"])


def test_what_is_compared_is_what_the_customer_says_not_its_markup_or_a_quote() -> None:
    body = "<p>The battery swells.</p><p>On 5 May 2026, Ann wrote:</p><blockquote>Hello</blockquote>"
    ticket = Ticket(ticket_id="t", subject="Drone", body=body, body_format=BodyFormat.HTML)
    assert text_of(routed().model_copy(update={"ticket": ticket})) == "Drone\nThe battery swells."
