"""tickets.enriched -> tickets.drafted: a reply in the customer's language that cites the passages.

A draft that cites what was not retrieved is asked for once more; if that fails too, the invalid ids stay out of the
citations, the confidence is 0, and routing sends the draft to a person.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agents.contract import Agent, ModelCall
from schemas.event import Value
from schemas.tickets import Confidence, Draft, TicketDrafted, TicketEnriched

BODY_CHARS_MAX = 6_000


class Reply(Value):
    """What the drafting model answers."""

    reply: str = Field(min_length=1, max_length=8_000, description="plain text in the customer's language")
    citations: Annotated[tuple[str, ...], Field(max_length=10)] = Field(
        default=(), description="ids of the documents that the reply rests on"
    )
    unanswered: Annotated[tuple[str, ...], Field(max_length=10)] = Field(
        default=(), description="questions that the documents don't answer"
    )
    confidence: Confidence
    model: str = ""


def ask(event: TicketEnriched) -> tuple[ModelCall[Reply]]:
    return (_call(event, correction=""),)


def follow_up(event: TicketEnriched, reply: Reply) -> tuple[ModelCall[Reply], ...]:
    if not (unknown := _unknown(event, reply)):
        return ()
    return (
        _call(event, correction=f"Your last reply cited {', '.join(unknown)}, which is not in the knowledge base."),
    )


def decide(event: TicketEnriched, reply: Reply, repaired: Reply | None = None) -> TicketDrafted:
    final = repaired or reply
    unknown = _unknown(event, final)
    draft = Draft(
        body=final.reply,
        citations=tuple(dict.fromkeys(cited for cited in final.citations if cited not in unknown)),
        unanswered=final.unanswered,
        confidence=0.0 if unknown else final.confidence,
        model=final.model,
    )
    return TicketDrafted.following(event, draft=draft)


def _call(event: TicketEnriched, *, correction: str) -> ModelCall[Reply]:
    return ModelCall(
        prompt="draft",
        reply=Reply,
        variables={
            "language": event.verdict.language,
            "category": event.verdict.category,
            "passages": [
                {"id": p.document_id, "title": p.title, "heading": p.heading, "text": p.text} for p in event.passages
            ],
            "subject": event.ticket.subject,
            "body": event.ticket.body[:BODY_CHARS_MAX],
            "correction": correction,
        },
        max_tokens=500,
        timeout_s=60,
    )


def _unknown(event: TicketEnriched, reply: Reply) -> tuple[str, ...]:
    known = {passage.document_id for passage in event.passages}
    return tuple(cited for cited in dict.fromkeys(reply.citations) if cited not in known)


AGENT = Agent(
    name="draft", consumes=TicketEnriched, produces=TicketDrafted, ask=ask, follow_up=follow_up, decide=decide
)
