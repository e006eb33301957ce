"""tickets.classified -> tickets.enriched: the five best passages of the tenant's knowledge base.

No passage is an ordinary outcome: drafting then says so and routing sends the ticket to a person. A message that a
newer one has overtaken gets no draft: the newer one's answers both.
"""

from __future__ import annotations

from agents.contract import Agent, Search, ThreadLookup
from agents.message import read, unanswered, with_subject
from schemas.tickets import Passage, Thread, TicketClassified, TicketEnriched

PASSAGES_MAX = 5
# The embedding model reads 512 tokens; more only costs time.
QUERY_CHARS_MAX = 2_000


def ask(event: TicketClassified) -> tuple[Search, ThreadLookup]:
    ticket = event.ticket
    text = "\n".join([with_subject(ticket.subject, read(ticket).text), *unanswered(event.history)])
    return (
        Search(query=text[:QUERY_CHARS_MAX], limit=PASSAGES_MAX, language=event.verdict.language),
        ThreadLookup(event.conversation, event.accepted_at),
    )


def decide(event: TicketClassified, passages: tuple[Passage, ...], thread: Thread) -> TicketEnriched:
    superseded = "" if event.verdict.needs_person else thread.newer
    return TicketEnriched.following(event, passages=passages, superseded=superseded)


AGENT = Agent(name="enrich", consumes=TicketClassified, produces=TicketEnriched, ask=ask, decide=decide)
