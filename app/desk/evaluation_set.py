"""An evaluation set from reviews: the ticket as it came, the draft, and what people made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.graduation import BAD_RATING_MAX
from agents.message import read
from app.kafka.reading import each_event
from app.models.masking import Mask
from app.reviews import read_reviews
from schemas.event import derived_id
from schemas.reviews import Decision, ReviewDecided
from schemas.tickets import TicketRouted

_VERDICTS = frozenset({Decision.APPROVED, Decision.EDITED, Decision.REJECTED})


async def export(
    client: Mapping[str, Any], tenant: str, take: Callable[[dict[str, Any]], object], *, masks: bool
) -> tuple[int, int]:
    """Gives how many reviewed drafts were taken, and how many have no ticket on the bus any more. Raises KafkaError,
    TimeoutError, PermanentError("too_many")."""
    opinions: dict[str, list[ReviewDecided]] = defaultdict(list)
    for review in await read_reviews(client, tenant):
        opinions[review.draft_event_id].append(review)
    drafts = {draft for draft, given in opinions.items() if any(one.decision in _VERDICTS for one in given)}
    # A review names the draft, or the routed event that carried it on.
    known = {name: draft for draft in drafts for name in (draft, derived_id(draft, TicketRouted.TOPIC))}
    taken: set[str] = set()

    def match(event: TicketRouted) -> None:
        draft = known.get(event.event_id)
        if draft is not None and draft not in taken:
            taken.add(draft)
            take(row(event, opinions[draft], Mask() if masks else None))

    await each_event(client, TicketRouted, match, tenant=tenant)
    return len(taken), len(drafts) - len(taken)


def row(event: TicketRouted, opinions: Sequence[ReviewDecided], mask: Mask | None) -> dict[str, Any]:
    """``good``: approved or edited in wording only, and nobody complained. The last verdict holds."""
    verdict = max(
        (one for one in opinions if one.decision in _VERDICTS), key=lambda one: (one.decided_at, one.event_id)
    )
    ratings = [one.rating for one in opinions if one.rating is not None]
    reopened = any(one.decision is Decision.REOPENED for one in opinions)
    material = verdict.edit is not None and verdict.edit.material
    liked = not reopened and not any(rating <= BAD_RATING_MAX for rating in ratings)
    told = mask.mask if mask else str
    return {
        "ticket_id": event.ticket.ticket_id,
        "subject": told(event.ticket.subject),
        "text": told(read(event.ticket).text),
        "language": event.verdict.language,
        "category": event.verdict.category,
        "priority": event.verdict.priority,
        "stakes": list(event.verdict.stakes),
        "passages": [passage.document_id for passage in event.passages],
        "draft": told(event.draft.body),
        "citations": list(event.draft.citations),
        "model": event.draft.model,
        "decision": verdict.decision,
        "good": verdict.decision is not Decision.REJECTED and not material and liked,
        "reply": told(verdict.reply),
        "material": material,
        "reason": told(verdict.reason),
        "ratings": ratings,
        "reopened": reopened,
    }
