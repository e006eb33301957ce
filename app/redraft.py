"""Past tickets drafted again under other guidelines, to be looked at before these are put in force.

The drafting agent itself is asked, of the passages that were found then. It is paid like any draft, and stands in the
ledger and on llm.usage under a stage of its own: the tickets' own cost stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from agents import draft
from agents.contract import ModelCall, PermanentError, TransientError
from app.kafka.cloudevents import to_output
from app.ports import Answerer, CallContext, LedgerRow
from app.runtime.record import Output
from app.stage import usage_event
from schemas.tickets import Route, TicketEnriched, TicketRouted

STAGE = "preview"


@dataclass(frozen=True)
class Redraft:
    ticket_id: str
    subject: str
    language: str
    before: str
    after: str
    model: str
    cost_usd: Decimal  # unconfirmed calls with their bound
    problem: str = ""  # why there is no draft


def draftable(events: Iterable[TicketRouted]) -> list[TicketRouted]:
    """Those for which a model was asked."""
    return [event for event in events if event.route is not Route.SUPERSEDED and event.draft.body]


async def redraft(event: TicketRouted, answerer: Answerer) -> tuple[Redraft, Sequence[Output]]:
    """The draft, and what its calls are on the bus."""
    asked_as = f"{STAGE}-{uuid4()}"  # each time anew: an answer that is stored was given under other guidelines
    past = event.model_copy(update={"event_id": asked_as, "root_id": asked_as})
    enriched = TicketEnriched.model_validate(past.model_dump())
    ledger: list[LedgerRow] = []
    body, model, problem = "", "", ""
    try:
        written = draft.decide(enriched, *await _replies(enriched, answerer, ledger)).draft
        body, model = written.body, written.model
    except (PermanentError, TransientError) as error:
        ledger.extend(getattr(error, "ledger", ()))
        problem = str(error)
    ticket, cost_usd = event.ticket, sum((row.cost_usd for row in ledger), Decimal(0))
    found = Redraft(
        ticket.ticket_id, ticket.subject, event.verdict.language, event.draft.body, body, model, cost_usd, problem
    )
    return found, [to_output(usage_event(past, row)) for row in ledger]


async def _replies(event: TicketEnriched, answerer: Answerer, ledger: list[LedgerRow]) -> list[draft.Reply]:
    """The first, and the repaired one where it had to be."""
    replies: list[draft.Reply] = []
    for call in draft.ask(event):
        replies.append(await _reply(call, event, len(replies), answerer, ledger))
    for call in draft.follow_up(event, *replies):
        replies.append(await _reply(call, event, len(replies), answerer, ledger))
    return replies


async def _reply(
    call: ModelCall[draft.Reply], event: TicketEnriched, number: int, answerer: Answerer, ledger: list[LedgerRow]
) -> draft.Reply:
    context = CallContext(event.tenant, STAGE, event.event_id, event.root_id, replay=0, question=number)
    answered = await answerer.answer(call, context)
    ledger.extend(answered.ledger)
    reply: draft.Reply = answered.value
    return reply
