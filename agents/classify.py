"""tickets.raw -> tickets.classified: what a ticket is about.

An unsure verdict is an ordinary outcome, not an error: routing sends it to a person.
"""

from __future__ import annotations

from agents.contract import Agent, ModelCall
from agents.language import checked
from schemas.tickets import TicketClassified, TicketReceived, Verdict

# Enough to see what is asked; a longer mail repeats itself or quotes others, and every token is paid.
BODY_CHARS_MAX = 6_000


def ask(event: TicketReceived) -> tuple[ModelCall[Verdict]]:
    ticket = event.ticket
    return (
        ModelCall(
            prompt="classify",
            reply=Verdict,
            variables={"subject": ticket.subject, "body": ticket.body[:BODY_CHARS_MAX]},
            max_tokens=200,
            timeout_s=20,
        ),
    )


def decide(event: TicketReceived, verdict: Verdict) -> TicketClassified:
    ticket = event.ticket
    language = checked(verdict.language, f"{ticket.subject}\n{ticket.body[:BODY_CHARS_MAX]}")
    return TicketClassified.following(event, verdict=verdict.model_copy(update={"language": language}))


AGENT = Agent(name="classify", consumes=TicketReceived, produces=TicketClassified, ask=ask, decide=decide)
