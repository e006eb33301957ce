"""tickets.classified -> tickets.enriched: the five best passages of the tenant's knowledge base.

No passage is an ordinary outcome: drafting then says so and routing sends the ticket to a person.
"""

from __future__ import annotations

from agents.contract import Agent, Search
from agents.message import read, with_subject
from schemas.tickets import Passage, TicketClassified, TicketEnriched

PASSAGES_MAX = 5
# The embedding model reads 512 tokens; more only costs time.
QUERY_CHARS_MAX = 2_000


def ask(event: TicketClassified) -> tuple[Search]:
    ticket = event.ticket
    text = with_subject(ticket.subject, read(ticket).text)
    return (Search(query=text[:QUERY_CHARS_MAX], limit=PASSAGES_MAX, language=event.verdict.language),)


def decide(event: TicketClassified, passages: tuple[Passage, ...]) -> TicketEnriched:
    return TicketEnriched.following(event, passages=passages)


AGENT = Agent(name="enrich", consumes=TicketClassified, produces=TicketEnriched, ask=ask, decide=decide)
