"""tickets.drafted -> tickets.routed: send, review, escalate, or superseded.

Rules may veto towards a person, never towards sending. The grounding check is paid for only where everything else
would allow sending.
"""

from __future__ import annotations

from agents.confidence import joint
from agents.contract import Agent, ModelCall, PolicyLookup, ThreadLookup
from agents.evidence import taken_inside, unvouched
from agents.hidden import hides_text
from agents.message import texts
from agents.signs import CHARS_MAX, repeats_instructions, signs
from schemas.policy import Mode, TenantPolicy
from schemas.tickets import (
    REASONS_MAX,
    Author,
    BodyFormat,
    Category,
    Grounding,
    Priority,
    Route,
    Stake,
    Thread,
    TicketDrafted,
    TicketRouted,
)

# These cannot wait in the ordinary queue.
ESCALATED_STAKES = frozenset({Stake.LEGAL, Stake.SECURITY})
REPLIES_MAX = 3  # without an end, whoever wrote them
FINDINGS_SHOWN_MAX = 5
# Whatever reviewers made of such drafts: what misleads a model so far was hardly among them. An attack beside a
# question does, and an invalid citation costs a draft all confidence.
DRAFT_CONFIDENCE_MIN = 0.3
# Nothing in these categories is answered by itself, whatever a tenant graduated.
NEVER_SENT_CATEGORIES = frozenset(
    {
        Category.REFUND,
        Category.CANCELLATION,
        Category.COMPLAINT,
        Category.SECURITY,
        Category.LEGAL,
        Category.ACCOUNT,
        Category.SPAM,
        Category.OTHER,
    }
)


def ask(event: TicketDrafted) -> tuple[PolicyLookup, ThreadLookup]:
    return PolicyLookup(), ThreadLookup(event.conversation, event.accepted_at)


def follow_up(event: TicketDrafted, policy: TenantPolicy, thread: Thread) -> tuple[ModelCall[Grounding], ...]:
    if escalations(event, thread) or superseded(event, thread) or vetoes(event, policy):
        return ()
    cited = [p for p in event.passages if p.document_id in event.draft.citations]
    return (
        ModelCall(
            prompt="ground",
            reply=Grounding,
            variables={
                "reply": event.draft.body,
                "passages": [{"id": p.document_id, "title": p.title, "text": p.text} for p in cited],
            },
            max_tokens=500,
            timeout_s=30,
        ),
    )


def decide(
    event: TicketDrafted, policy: TenantPolicy, thread: Thread, grounding: Grounding | None = None
) -> TicketRouted:
    route, reasons = rule(event, policy, thread, grounding)
    return TicketRouted.following(
        event,
        grounding=grounding,
        confidence=joint(event, policy.calibration, grounding),
        route=route,
        reasons=reasons[:REASONS_MAX],
        replies=thread.replies,
    )


def rule(
    event: TicketDrafted, policy: TenantPolicy, thread: Thread, grounding: Grounding | None
) -> tuple[Route, tuple[str, ...]]:
    """The whole decision, with the reasons that a person can read."""
    if reasons := escalations(event, thread):
        return Route.ESCALATE, reasons
    if reason := superseded(event, thread):
        return Route.SUPERSEDED, (reason,)
    if reasons := vetoes(event, policy):
        return Route.REVIEW, reasons
    if grounding is None:
        return Route.REVIEW, ("the reply was not checked against its passages",)
    if not grounding.supported:
        unsupported = sum(not claim.supported for claim in grounding.claims)
        return Route.REVIEW, (f"{unsupported} of {len(grounding.claims)} claims are not supported by the passages",)
    return Route.SEND, ("low priority, confident, every claim supported",)


def superseded(event: TicketDrafted, thread: Thread) -> str:
    """Why nobody needs this draft any more. What needs a person is not lost behind what the customer wrote next."""
    return "" if event.verdict.needs_person else event.superseded or thread.newer


def escalations(event: TicketDrafted, thread: Thread) -> tuple[str, ...]:
    verdict = event.verdict
    reasons = []
    if verdict.wants_human:
        reasons.append("the customer asks for a person")
    if verdict.complains_again:
        reasons.append("the customer complains again")
    if verdict.goes_in_circles:
        reasons.append("the customer is sent round in circles")
    if thread.replies >= REPLIES_MAX:
        reasons.append(f"{thread.replies} replies did not bring it to an end")
    if urgent := sorted(ESCALATED_STAKES.intersection(verdict.stakes)):
        reasons.append(f"high stakes: {', '.join(urgent)}")
    if verdict.priority is Priority.URGENT:
        reasons.append("priority is urgent")
    return tuple(reasons)


def vetoes(event: TicketDrafted, policy: TenantPolicy) -> tuple[str, ...]:
    """Every reason, other than grounding, why a person must see the draft first."""
    verdict, draft = event.verdict, event.draft
    foreign = unvouched(draft.body, event.passages)
    inside = dict.fromkeys((*draft.internal, *taken_inside(draft.body, event.passages, "\n".join(_written(event)))))
    internal = [p.document_id for p in event.passages if not p.is_public and p.document_id in draft.citations]
    found = {p.document_id for p in event.passages}
    unknown = [cited for cited in draft.citations if cited not in found]
    never = verdict.category in NEVER_SENT_CATEGORIES
    checks = (
        (verdict.high_stakes, f"high stakes: {', '.join(verdict.stakes)}"),
        (policy.mode is Mode.DRAFT, "the tenant is in draft mode"),
        (policy.halted, "sending is halted for the tenant"),
        (never, f"category {verdict.category} always goes to a person"),
        (
            not never
            and policy.mode is not Mode.DRAFT
            and not policy.has_graduated(verdict.category, verdict.language),
            f"category {verdict.category} has not graduated in {verdict.language}",
        ),
        (verdict.priority is not Priority.LOW, f"priority is {verdict.priority}"),
        *_doubts(event, policy),
        (not event.passages, "nothing was found in the knowledge base"),
        (not draft.body.strip(), "the reply is empty"),
        (not draft.citations, "the reply cites nothing"),
        (bool(unknown), f"cites what was not found: {', '.join(unknown[:FINDINGS_SHOWN_MAX])}"),
        (bool(draft.unanswered), "some questions are left open"),
        (bool(draft.unfounded), f"stands nowhere but in the reply: {', '.join(draft.unfounded[:FINDINGS_SHOWN_MAX])}"),
        (bool(foreign), f"links or prices that no public article has: {', '.join(foreign[:FINDINGS_SHOWN_MAX])}"),
        (bool(internal), f"cites internal articles: {', '.join(internal)}"),
        (bool(inside), f"taken from internal articles: {', '.join([*inside][:FINDINGS_SHOWN_MAX])}"),
        (repeats_instructions(draft.body), "the reply repeats the instructions it was written by"),
    )
    return (*(reason for applies, reason in checks if applies), *_suspicions(event))


def _doubts(event: TicketDrafted, policy: TenantPolicy) -> tuple[tuple[bool, str], ...]:
    """A model's word on its own draft is worth what reviewers made of such drafts, and without reviews nothing.

    Its word on what the message is about stands beside it: no review of a reply tells that a stake was overlooked.
    """
    verdict = event.verdict
    found = joint(event, policy.calibration)
    confidence = 0.0 if found.calibrated is None else found.calibrated
    return (
        (found.calibrated is None, f"confidence is uncalibrated (raw {found.raw:.2f})"),
        (
            found.calibrated is not None and confidence < policy.confidence_min,
            f"confidence {confidence:.2f} (raw {found.raw:.2f}) is below {policy.confidence_min:.2f}",
        ),
        (
            verdict.confidence < policy.confidence_min,
            f"classification confidence {verdict.confidence:.2f} is below {policy.confidence_min:.2f}",
        ),
        (
            event.draft.confidence < DRAFT_CONFIDENCE_MIN,
            f"the draft's own confidence {event.draft.confidence:.2f} is below {DRAFT_CONFIDENCE_MIN:.2f}",
        ),
    )


def _suspicions(event: TicketDrafted) -> tuple[str, ...]:
    """Signs that the message, or an article that was read, was made to steer a model."""
    seen = (sign for text in _written(event) for sign in signs(text[:CHARS_MAX]))
    found = [f"the message holds {sign}" for sign in dict.fromkeys(seen)]
    if event.ticket.body_format is BodyFormat.HTML and hides_text(event.ticket.body):
        found.append("the message hides text from a reader")
    articles = [p.document_id for p in event.passages if signs(f"{p.title}\n{p.heading}\n{p.text}"[:CHARS_MAX])]
    if articles:
        found.append(f"articles hold signs of tampering: {', '.join(dict.fromkeys(articles))}")
    return tuple(found)


def _written(event: TicketDrafted) -> tuple[str, ...]:
    return (*texts(event.ticket), *(turn.text for turn in event.history if turn.author is Author.CUSTOMER))


AGENT = Agent(name="route", consumes=TicketDrafted, produces=TicketRouted, ask=ask, follow_up=follow_up, decide=decide)
