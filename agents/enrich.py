"""tickets.classified -> tickets.enriched: the five best passages of the tenant's knowledge base.

No passage is an ordinary outcome: drafting then says so and routing sends the ticket to a person. A message that a
newer one has overtaken gets no draft: the newer one's answers both. Where the tenant wants it, a model picks the five
out of more: one paid call a ticket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from agents.contract import Agent, ModelCall, PolicyLookup, Search, ThreadLookup
from agents.message import listed, read, shown, unanswered, with_subject
from schemas.event import Value
from schemas.policy import TenantPolicy
from schemas.tickets import Passage, Thread, TicketClassified, TicketEnriched

PASSAGES_MAX = 5
# The beginnings of so many are some 2,500 tokens.
RERANKED_MAX = 15
RERANKED_CHARS_MAX = 600
# The embedding model reads 512 tokens; more only costs time.
QUERY_CHARS_MAX = 2_000


class Order(Value):
    """What the reranking model answers."""

    document_ids: Annotated[tuple[str, ...], Field(max_length=RERANKED_MAX)] = Field(
        description="ids of the articles that answer the message, the best first"
    )


def ask(event: TicketClassified) -> tuple[Search, ThreadLookup, PolicyLookup]:
    ticket = event.ticket
    text = "\n".join([with_subject(ticket.subject, read(ticket).text), *unanswered(event.history)])
    return (
        Search(
            query=text[:QUERY_CHARS_MAX], limit=PASSAGES_MAX, language=event.verdict.language,
            limit_reranked=RERANKED_MAX,
        ),
        ThreadLookup(event.conversation, event.accepted_at),
        PolicyLookup(),
    )  # fmt: skip


def follow_up(
    event: TicketClassified, passages: tuple[Passage, ...], thread: Thread, policy: TenantPolicy
) -> tuple[ModelCall[Order], ...]:
    public = [passage for passage in passages if passage.is_public]
    if not policy.rerank or _superseded(event, thread) or len(public) < 2:
        return ()
    articles = [
        {"id": p.document_id, "title": p.title, "heading": p.heading, "text": p.text[:RERANKED_CHARS_MAX]}
        for p in public
    ]
    return (
        ModelCall(
            prompt="rerank",
            reply=Order,
            variables={
                **shown(event.ticket, signed=False, attached_chars_max=0),
                **listed(event.history),
                "passages": articles,
            },
            max_tokens=300,
            timeout_s=20,
        ),
    )


def decide(
    event: TicketClassified,
    passages: tuple[Passage, ...],
    thread: Thread,
    policy: TenantPolicy,
    order: Order | None = None,
) -> TicketEnriched:
    return TicketEnriched.following(
        event,
        passages=_first(passages, order.document_ids if order else ()),
        superseded=_superseded(event, thread),
    )


def _superseded(event: TicketClassified, thread: Thread) -> str:
    return "" if event.verdict.needs_person else thread.newer


def _first(passages: Sequence[Passage], ordered: Sequence[str]) -> tuple[Passage, ...]:
    """What was named in its order, then the others in the search's; an internal one keeps its last place."""
    places = {document_id: place for place, document_id in reversed([*enumerate(ordered)])}
    public = sorted((p for p in passages if p.is_public), key=lambda p: places.get(p.document_id, len(ordered)))
    internal = [passage for passage in passages if not passage.is_public]
    return (*public[: PASSAGES_MAX - len(internal)], *internal)


AGENT = Agent(
    name="enrich", consumes=TicketClassified, produces=TicketEnriched, ask=ask, follow_up=follow_up, decide=decide
)
