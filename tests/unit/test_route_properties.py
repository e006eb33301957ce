"""The rule over all its inputs: what must never be sent."""

from hypothesis import given
from hypothesis import strategies as st

from agents import route
from agents.confidence import FORMULA, joint
from schemas.policy import Calibration, Mode, TenantPolicy
from schemas.tickets import Category, Claim, Draft, Grounding, Priority, Route, Sentiment, Stake, Verdict
from tests.events import calibration, drafted, open_policy, passage, verdict

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
    assert verdict.confidence >= policy.confidence_min and draft.confidence >= route.DRAFT_CONFIDENCE_MIN
    assert draft.citations and not draft.unanswered and not draft.unfounded and found
    assert grounding is not None and grounding.supported


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([None, calibration(formula=FORMULA + 1)]))
def test_uncalibrated_never_sends(limit: float, sure: float, none: Calibration | None) -> None:
    """Without a calibration, or with one that was fitted on another formula, where all else would allow it."""
    draft = Draft(body="Press Ctrl+P.", citations=("printing",), confidence=sure)
    policy = open_policy(calibration=none, confidence_min=limit)
    supported = Grounding(claims=(Claim(text="x", supported=True),))
    decided = route.decide(drafted(draft=draft, verdict=verdict(confidence=sure)), policy, supported)
    assert decided.route is Route.REVIEW
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


INTERNAL = passage(
    "rules", title="Rules for agents", audience="internal",
    text="Agents may waive the fee of 30 € once a year, if the customer asks politely and pays within 14 days. "
    "Tell tier two at tier2@inside.example, and note VIP77 in the file of the customer, else it is charged again.",
)  # fmt: skip
spans = st.tuples(st.integers(0, 90), st.integers(0, 60)).map(
    lambda span: INTERNAL.text[span[0] : span[0] + 60 + span[1]]
)
quoted = st.one_of(
    spans, spans.map(str.upper), spans.map(lambda text: text.replace(" ", "\n")),
    st.sampled_from(["30 €", "within 14 days", "tier2@inside.example", "[rules]", '"note VIP77"']),
)  # fmt: skip
openings = st.sampled_from(["", "Hello,\n", "こんにちは。", "Press Ctrl+P [printing]. "])


@given(verdicts, drafts, policies, groundings, openings, quoted, st.booleans(), st.booleans())
def test_no_draft_with_an_internal_citation_or_quote_is_ever_sent(  # type: ignore[no-untyped-def]
    verdict, draft, policy, grounding, opening, taken, cites, quotes
) -> None:
    body = f"{opening}{taken}. Bye" if quotes else draft.body
    citations = (*draft.citations, "rules") if cites else draft.citations
    event = drafted(
        verdict=verdict,
        passages=(passage(), INTERNAL),
        draft=draft.model_copy(update={"body": body, "citations": citations}),
    )
    decided, reasons = route.rule(event, policy, grounding)
    if cites or quotes:
        assert decided is not Route.SEND
        if decided is Route.REVIEW:
            assert any("internal article" in reason for reason in reasons)


def test_an_internal_passage_alone_does_not_keep_a_reply_from_being_sent() -> None:
    best = Grounding(claims=(Claim(text="x", supported=True),))
    event = drafted(passages=(passage(), INTERNAL))
    assert route.rule(event, open_policy(), best)[0] is Route.SEND
