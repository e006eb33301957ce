"""The rule over all its inputs: what must never be sent."""

from hypothesis import given
from hypothesis import strategies as st

from agents import route
from agents.confidence import FORMULA, joint
from schemas.policy import Mode, TenantPolicy
from schemas.tickets import Category, Claim, Draft, Grounding, Priority, Route, Sentiment, Stake, Verdict
from tests.events import calibration, drafted, passage

verdicts = st.builds(
    Verdict,
    category=st.sampled_from(Category),
    priority=st.sampled_from(Priority),
    sentiment=st.sampled_from(Sentiment),
    language=st.sampled_from(["en", "de", "ja"]),
    stakes=st.lists(st.sampled_from(Stake), max_size=2, unique=True).map(tuple),
    wants_human=st.booleans(),
    confidence=st.floats(0, 1),
)
drafts = st.builds(
    Draft, body=st.just("Hi"), citations=st.sampled_from([(), ("printing",)]),
    unanswered=st.sampled_from([(), ("and my invoice?",)]),
    unfounded=st.sampled_from([(), ("12 €",)]), confidence=st.floats(0, 1),
)  # fmt: skip
policies = st.builds(
    TenantPolicy, tenant=st.just("acme"), mode=st.sampled_from(Mode),
    graduated=st.lists(st.sampled_from(Category), unique=True).map(tuple), confidence_min=st.floats(0, 1),
    calibration=st.none() | st.builds(calibration, st.floats(0, 1), formula=st.sampled_from([FORMULA, FORMULA - 1])),
)  # fmt: skip
groundings = st.none() | st.builds(
    Grounding, claims=st.lists(st.builds(Claim, text=st.just("x"), supported=st.booleans()), max_size=3).map(tuple)
)
passages = st.sampled_from([(), (passage(),)])


@given(verdicts, drafts, policies, groundings, passages)
def test_what_is_sent_has_passed_every_check(verdict, draft, policy, grounding, found) -> None:  # type: ignore[no-untyped-def]
    event = drafted(verdict=verdict, draft=draft, passages=found)
    decided, reasons = route.rule(event, policy, grounding)
    assert reasons
    if decided is not Route.SEND:
        return
    assert not verdict.stakes and not verdict.wants_human
    assert verdict.priority is Priority.LOW and verdict.category not in route.NEVER_SENT_CATEGORIES
    assert policy.mode is Mode.AUTO and verdict.category in policy.graduated
    confidence = joint(event, policy.calibration, grounding).calibrated
    assert confidence is not None and confidence >= policy.confidence_min
    assert draft.confidence > 0
    assert draft.citations and not draft.unanswered and not draft.unfounded and found
    assert grounding is not None and grounding.supported


@given(verdicts, drafts, policies, groundings, st.sampled_from([None, calibration(formula=FORMULA + 1)]))
def test_uncalibrated_never_sends(verdict, draft, policy, grounding, none) -> None:  # type: ignore[no-untyped-def]
    """Without a calibration, or with one that was fitted on another formula, and whatever the limit is."""
    policy = policy.model_copy(update={"calibration": none, "confidence_min": 0.0})
    decided = route.decide(drafted(verdict=verdict, draft=draft), policy, grounding)
    assert decided.route is not Route.SEND
    assert decided.confidence is not None and decided.confidence.calibrated is None


@given(verdicts, drafts, policies, groundings)
def test_asking_for_a_person_always_escalates(verdict, draft, policy, grounding) -> None:  # type: ignore[no-untyped-def]
    event = drafted(verdict=verdict.model_copy(update={"wants_human": True}), draft=draft)
    assert route.rule(event, policy, grounding)[0] is Route.ESCALATE


@given(verdicts, drafts, policies)
def test_no_check_is_paid_for_where_its_answer_cannot_matter(verdict, draft, policy) -> None:  # type: ignore[no-untyped-def]
    event = drafted(verdict=verdict, draft=draft)
    best = Grounding(claims=(Claim(text="x", supported=True),))
    if route.follow_up(event, policy) == ():
        assert route.rule(event, policy, best)[0] is not Route.SEND
