"""The raw score: one figure out of several, which only ranks."""

import pytest

from agents.confidence import FORMULA, confidence_at, curve_for, joint, raw_score, signals
from app.knowledge.ranking import Candidate, best
from schemas.policy import Calibration, Curve
from schemas.reviews import Signals
from schemas.tickets import Category, Claim, Draft, Grounding
from tests.events import calibration, drafted, passage, verdict

GOOD = Signals(similarity=0.9, margin=0.5, agreement=1.0, classification=0.9, draft=0.9, citations=1)
STEPS = Curve(reviews=300, raw_from=(0.2, 0.5), confidence=(0.4, 0.9))


def claims(*supported: bool) -> Grounding:
    return Grounding(claims=tuple(Claim(text="x", supported=each) for each in supported))


@pytest.mark.parametrize(
    "worse",
    [{"similarity": 0.5}, {"margin": 0.2}, {"agreement": 0.0}, {"classification": 0.5}, {"draft": 0.5},
     {"unanswered": 1}, {"unfounded": 1}, {"supported": 0.5}],
    ids=lambda worse: next(iter(worse)),
)  # fmt: skip
def test_each_signal_counts(worse: dict[str, float]) -> None:
    assert raw_score(GOOD.model_copy(update=worse)) < raw_score(GOOD)


@pytest.mark.parametrize(
    "nothing", [{"similarity": None}, {"citations": 0}, {"draft": 0.0}, {"classification": 0.0}, {"supported": 0.0}]
)
def test_what_is_missing_altogether_cannot_be_made_good(nothing: dict[str, float]) -> None:
    assert raw_score(GOOD.model_copy(update=nothing)) == 0


def test_an_unchecked_draft_and_a_supported_one_have_the_same_score() -> None:
    """Reviewed drafts were seldom checked, sent ones always were: one curve must fit both."""
    assert raw_score(signals(drafted())) == raw_score(signals(drafted(), claims(True, True)))


def test_a_check_without_claims_supports_nothing() -> None:
    assert signals(drafted(), claims()).supported == 0


def test_the_margin_is_a_share_and_needs_no_scale() -> None:
    found = (passage("a", score=0.8, similarity=0.8), passage("b", score=0.2, similarity=0.9))
    given = signals(drafted(passages=found))
    assert (given.margin, given.similarity) == (pytest.approx(0.75), 0.8)


@pytest.mark.parametrize("past", [(), (Candidate("past", "", 0, None, 100), Candidate("voted", "a", 1, None, 3))])
def test_a_passage_that_every_sign_puts_first_has_full_agreement(past: tuple[Candidate, ...]) -> None:
    """Also after past tickets came in: their weight must not lift every score above the curve that was fitted."""
    signs = [Candidate("near", "a", 1, at, 0.9) for at in range(3)] + [Candidate("words", "a", 1, 0, 7)]
    answered = [Candidate("answered", "a", 1, None, 5)] if past else []
    (choice,) = best([*signs, *past, *answered], 1)
    assert signals(drafted(passages=(passage(score=choice.score),))).agreement == pytest.approx(1)


def test_nothing_found_is_an_ordinary_outcome() -> None:
    assert raw_score(signals(drafted(passages=()))) == 0


def test_a_curve_holds_from_its_step_on() -> None:
    assert [confidence_at(STEPS, raw) for raw in (0.2, 0.499, 0.5, 1.0)] == [0.4, 0.4, 0.9, 0.9]


def test_below_what_was_reviewed_nothing_is_known() -> None:
    assert confidence_at(STEPS, 0.19) == 0


def test_the_nearest_group_has_the_say() -> None:
    tenant, how_to, german = (
        STEPS,
        STEPS.model_copy(update={"category": Category.HOW_TO}),
        STEPS.model_copy(update={"category": Category.HOW_TO, "language": "de"}),
    )
    curves = (tenant, how_to, german)
    assert curve_for(curves, Category.HOW_TO, "de") is german
    assert curve_for(curves, Category.HOW_TO, "fr") is how_to
    assert curve_for(curves, Category.BILLING, "de") is tenant


def test_a_calibration_of_another_formula_is_none() -> None:
    assert joint(drafted(), calibration(formula=FORMULA + 1)).calibrated is None
    assert joint(drafted(), None).calibrated is None
    assert joint(drafted(), calibration(0.7)).calibrated == 0.7


def test_a_group_without_a_curve_is_uncalibrated() -> None:
    only: Calibration = calibration(curves=(STEPS.model_copy(update={"category": Category.BILLING}),))
    assert joint(drafted(verdict=verdict(category=Category.HOW_TO)), only).calibrated is None


def test_a_draft_whose_citation_stayed_invalid_has_no_score() -> None:
    assert joint(drafted(draft=Draft(body="x", citations=("printing",), confidence=0)), None).raw == 0
