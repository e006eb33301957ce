"""For machines: the queue, a ticket, a decision, the audit log, as JSON, by a token with scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import PermanentError
from app.console.machines import Machine
from app.console.queue import ROWS, Filter, read_cursor, rows_of, written
from app.console.roles import Scope
from app.console.web import Endpoint, console_of, limited_body
from app.desk import feedback, store
from app.desk.decisions import Action, Choice
from schemas.reviews import Decision

_STATUS = {
    "no_ticket": 404, "too_late": 409, "decided": 409, "changed": 409, "taken": 409, "answered": 409, "not_sent": 409,
}  # fmt: skip

Handler = Callable[[Request, Machine], Awaitable[Any]]


class Asked(BaseModel):
    """A decision as a machine sends it."""

    model_config = ConfigDict(extra="forbid")

    ticket_id: str = Field(min_length=1, max_length=200)
    draft_event_id: str = Field(default="", max_length=200)
    action: Action
    reply: str = ""
    reason: str = ""
    wording_only: bool = False


class Told(BaseModel):
    """What a help desk saw after a reply: the customer rated it, or the ticket was opened again there."""

    model_config = ConfigDict(extra="forbid")

    ticket_id: str = Field(min_length=1, max_length=200)
    kind: Literal[Decision.REOPENED, Decision.RATED]
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    reason: str = ""
    by: str = Field(default="", max_length=200, description="who rated or opened it, as the help desk names them")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.kind is Decision.RATED) != (self.rating is not None):
            raise ValueError("rating: 1 to 5 with kind rated, and only there")
        return self


def answer(needs: Scope, handler: Handler) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        machine = await console_of(request).machines.known(token.strip()) if kind.lower() == "bearer" else None
        if machine is None:
            return _json({"error": "unauthorized"}, 401, {"www-authenticate": "Bearer"})
        if needs not in machine.scopes:
            return _json({"error": "scope", "needs": needs}, 403)
        try:
            return _json(await handler(request, machine))
        except ValidationError as error:
            return _json({"error": "invalid", "message": str(error)}, 422)
        except PermanentError as error:
            return _json({"error": error.reason, "message": str(error)}, _STATUS.get(error.reason, 422))

    return endpoint


async def _tickets(request: Request, machine: Machine) -> Any:
    """``state``, ``category``, ``language``, ``priority``, ``text``; ``after``: the ``next`` of the page before."""
    given = request.query_params
    after = read_cursor(given.get("after", ""))
    rows = await rows_of(console_of(request).pool, machine.tenant, Filter.of(given), limit=ROWS, after=after)
    return {"tickets": list(map(asdict, rows)), "next": written(rows[-1].cursor) if len(rows) == ROWS else None}


async def _ticket(request: Request, machine: Machine) -> Any:
    view = await store.ticket(console_of(request).pool, machine.tenant, request.query_params.get("id", ""))
    return {**asdict(view), "reply": view.reply}


async def _decide(request: Request, machine: Machine) -> Any:
    asked = Asked.model_validate_json(await limited_body(request))
    fields = asked.model_dump(exclude={"ticket_id"})
    actor = f"token {machine.name}"
    return asdict(
        await store.decide(console_of(request).pool, machine.tenant, asked.ticket_id, actor, Choice(**fields))
    )


async def _feedback(request: Request, machine: Machine) -> Any:
    """``kept`` is false where the same rating was told before."""
    told = Told.model_validate_json(await limited_body(request))
    pool, actor = console_of(request).pool, told.by or f"token {machine.name}"
    if told.rating is None:
        await feedback.reopen(pool, machine.tenant, told.ticket_id, actor, told.reason or "in the help desk")
        return {"kept": True}
    kept = await feedback.rate(pool, machine.tenant, told.ticket_id, actor, told.rating, reason=told.reason)
    return {"kept": kept is not None}


async def _audit(request: Request, machine: Machine) -> Any:
    """``before``: the id of the last row of the page before."""
    before = request.query_params.get("before", "")
    rows = await store.audit_log(
        console_of(request).pool, machine.tenant, before=int(before) if before.isdecimal() else None
    )
    return {"rows": list(map(asdict, rows))}


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content, default=_plain), status, headers, "application/json")


def _plain(value: Any) -> Any:
    """Models as their fields, money as text."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


tickets = answer(Scope.READ, _tickets)
ticket = answer(Scope.READ, _ticket)
decide = answer(Scope.DECIDE, _decide)
tell = answer(Scope.FEEDBACK, _feedback)
audit = answer(Scope.AUDIT, _audit)
