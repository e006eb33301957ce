"""Past tickets and the articles that answered them: a search lets the nearest of them vote."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
from pgvector import Vector as PgVector
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from agents.contract import PermanentError
from agents.enrich import QUERY_CHARS_MAX
from agents.message import with_subject
from app.knowledge.article import Text
from app.models.masking import Mask
from app.ports import Embedder, Vector
from app.store.database import Pool
from app.store.queries import query
from schemas.usage import Usage

# Of a tenant, the newest: a search compares all of them, which takes some milliseconds.
SOLVED_MAX = 10_000
DOCUMENTS_MAX = 10  # of one ticket
TEXTS_MAX = 32  # of one request for vectors


class PastTicket(BaseModel):
    """A ticket that people answered, with the articles they linked."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    ticket_id: Text = Field(validation_alias=AliasChoices("ticket_id", "id"), min_length=1, max_length=200,
                            coerce_numbers_to_str=True)  # fmt: skip
    created_at: datetime
    subject: str = ""
    text: str = Field(validation_alias=AliasChoices("text", "body", "description"), min_length=1)
    document_ids: tuple[Annotated[Text, Field(min_length=1, max_length=200)], ...] = Field(
        validation_alias=AliasChoices("document_ids", "gold_doc_ids"), min_length=1
    )

    @field_validator("created_at", mode="before")
    @classmethod
    def _with_spaces(cls, value: Any) -> Any:
        """Some desks write "2019-07-31 19:27:36 -0800", which is almost ISO 8601."""
        return "".join(value.rsplit(" ", 1)) if isinstance(value, str) and value.count(" ") == 2 else value

    @field_validator("created_at", mode="after")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    @property
    def question(self) -> str:
        """As enrichment asks it."""
        return with_subject(self.subject, self.text)[:QUERY_CHARS_MAX]


@dataclass(frozen=True)
class Solved:
    ticket_id: str
    at: datetime
    document_ids: Sequence[str]


def read_tickets(file: Path) -> Iterator[PastTicket]:
    """JSON Lines. Lines without articles are passed over. Raises PermanentError at the first that cannot be read."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                fields = orjson.loads(line)
                if isinstance(fields, dict) and not (fields.get("document_ids") or fields.get("gold_doc_ids")):
                    continue
                yield PastTicket.model_validate(fields)
            except (orjson.JSONDecodeError, ValidationError) as error:
                raise PermanentError(
                    "bad_ticket",
                    f"{file}:{number}: a past ticket has ticket_id, created_at, text and document_ids: {error}",
                ) from error


async def learn_tickets(
    pool: Pool, embedder: Embedder, tickets: Iterator[PastTicket], *, tenant: str, masks: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, Usage]:  # fmt: skip
    """How many tickets were learnt: the newest SOLVED_MAX. ``masks``: personal data do not go to the embedder."""
    newest = heapq.nlargest(SOLVED_MAX, tickets, key=lambda ticket: ticket.created_at)
    usage = Usage()
    for start in range(0, len(newest), TEXTS_MAX):
        part = newest[start : start + TEXTS_MAX]
        texts = [Mask().mask(ticket.question) if masks else ticket.question for ticket in part]
        vectors, used = await embedder.embed(texts, kind="query")
        usage += used
        solved = [Solved(ticket.ticket_id, ticket.created_at, ticket.document_ids) for ticket in part]
        await learn(pool, solved, vectors, tenant=tenant, model=embedder.model)
        progress(start + len(part), len(newest))
    return len(newest), usage


async def learn(pool: Pool, solved: Sequence[Solved], vectors: Vector, *, tenant: str, model: str) -> None:
    """Known tickets are replaced. ``vectors`` are of ``model``, embedded as queries. No text is kept."""
    async with pool.transaction(tenant) as connection:
        await connection.execute(query("lock_imports"), tenant)
        await connection.execute(
            query("learn_solved"), tenant,
            [one.ticket_id for one in solved],
            [one.at for one in solved],
            [PgVector(vector) for vector in vectors],
            [orjson.dumps(list(dict.fromkeys(one.document_ids))[:DOCUMENTS_MAX]).decode() for one in solved],
            model,
        )  # fmt: skip
        await connection.execute(query("forget_solved"), tenant, SOLVED_MAX)
        await connection.execute(query("count_solved"), tenant)
