"""The workspace's dead letters: why they are there, and back to where they came from."""

from __future__ import annotations

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import TransientError
from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import Console, console_of, form, page, render, see_other
from app.dead_letters import DeadLetter, Wanted, drop, read, replay
from app.desk.store import add_audit

SHOWN_MAX = 200
VALUE_CHARS_MAX = 4_000


async def _letters(console: Console, tenant: str, places: frozenset[str] = frozenset()) -> list[DeadLetter]:
    """Newest first."""
    try:
        found = await read(console.client, console.runtime, Wanted(tenant=tenant, places=places))
    except (KafkaError, TimeoutError) as error:
        raise TransientError(f"the bus does not answer: {error}") from error
    return found[::-1]


async def _show(request: Request, session: Session) -> Response:
    letters = await _letters(console_of(request), session.tenant)
    return render(
        request, "dead_letters.html", letters=letters[:SHOWN_MAX], in_all=len(letters),
        kept_back=request.query_params.get("kept_back", ""),
        value=lambda letter: (letter.value or b"").decode(errors="replace")[:VALUE_CHARS_MAX],
    )  # fmt: skip


async def _handle(request: Request, session: Session) -> Response:
    """Only letters of this workspace, whatever the form names."""
    console, sent = console_of(request), await form(request)
    places = frozenset(sent.getlist("place"))
    letters = await _letters(console, session.tenant, places) if places else []
    kept_back: list[DeadLetter] = []
    is_replay = sent.get("do") == "replay"
    if is_replay:
        try:
            kept_back = await replay(console.client, console.runtime, letters)
        except KafkaError as error:
            raise TransientError(f"the bus does not answer: {error}") from error
    else:
        await drop(console.runtime, letters)
    async with console.pool.transaction(session.tenant) as connection:
        for letter in letters:
            if letter not in kept_back:
                await add_audit(
                    connection, session.tenant, session.user.actor, subject=letter.place,
                    action="dead_letter_replayed" if is_replay else "dead_letter_dropped",
                    details={"reason": letter.reason, "origin": letter.origin},
                )  # fmt: skip
    return see_other("/dead-letters" + (f"?kept_back={len(kept_back)}" if kept_back else ""))


show = page(Role.ADMIN, _show)
handle = page(Role.ADMIN, _handle)
