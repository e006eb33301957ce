"""A question to a model: what an article must answer that the knowledge base lacks. A person writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from agents.contract import ModelCall
from agents.message import read
from schemas.event import Value
from schemas.tickets import Ticket

TICKETS_MAX = 8
TICKET_CHARS_MAX = 1_500


class Article(Value):
    """What the model answers: a proposal, with no word of an answer in it."""

    title: str = Field(min_length=1, max_length=200)
    outline: Annotated[tuple[str, ...], Field(min_length=1, max_length=12)]
    unclear: Annotated[tuple[str, ...], Field(max_length=12)] = ()


def propose(tickets: Sequence[Ticket], *, language: str) -> ModelCall[Article]:
    # As a customer's words, so that they are masked where the tenant wants it.
    texts = [f"{ticket.subject}\n{read(ticket).text[:TICKET_CHARS_MAX]}".strip() for ticket in tickets[:TICKETS_MAX]]
    return ModelCall(
        prompt="article",
        reply=Article,
        variables={"subject": "", "body": "\n\n---\n\n".join(texts), "language": language},
        max_tokens=600,
        timeout_s=60,
    )
