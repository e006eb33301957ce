"""tickets.raw -> tickets.classified: what a ticket is about.

An unsure verdict is an ordinary outcome, not an error: routing sends it to a person.
"""

from __future__ import annotations

from agents.contract import Agent, ModelCall, ThreadLookup
from agents.language import checked
from agents.message import listed, read, shown
from schemas.tickets import Thread, TicketClassified, TicketReceived, Verdict

# Enough to see what an attachment is about.
ATTACHED_CHARS_MAX = 1_000


def ask(event: TicketReceived) -> tuple[ThreadLookup]:
    return (ThreadLookup(event.conversation, event.accepted_at),)


def follow_up(event: TicketReceived, thread: Thread) -> tuple[ModelCall[Verdict]]:
    return (
        ModelCall(
            prompt="classify",
            reply=Verdict,
            variables={
                **shown(event.ticket, signed=False, attached_chars_max=ATTACHED_CHARS_MAX),
                **listed(thread.before),
            },
            # A verdict takes about 100; five questions in a script of many tokens the rest.
            max_tokens=400,
            timeout_s=20,
        ),
    )


def decide(event: TicketReceived, thread: Thread, verdict: Verdict) -> TicketClassified:
    ticket = event.ticket
    language = checked(verdict.language, f"{ticket.subject}\n{read(ticket).text}")
    return TicketClassified.following(
        event, verdict=verdict.model_copy(update={"language": language}), history=thread.before
    )


AGENT = Agent(
    name="classify", consumes=TicketReceived, produces=TicketClassified, ask=ask, follow_up=follow_up, decide=decide
)
