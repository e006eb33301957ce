"""The outbox as a sender sees it. A claim is a lease: what is not finished in time is claimed again, by any sender, and
whoever holds the claim before changes nothing any more, though it be the same process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from app.desk.adapters import Outgoing
from app.desk.decisions import State
from app.desk.projector import DOOR, NAME
from app.store.database import Pool
from app.store.queries import query

# Why a reply is not sent: in words, and what becomes of its ticket.
_WHY = {
    "taken_over": ("a person has taken the ticket over", State.TAKEN_OVER),
    "newer_message": ("a newer message came in", State.SUPERSEDED),
    "answered": ("a person has answered in the help desk", State.TAKEN_OVER),
    "not_sending": ("the ticket is no longer to be answered so", State.WAITING),
    "undone": ("the decision was undone", State.WAITING),
    "draft_mode": ("the tenant is in draft mode", State.WAITING),
    "halted": ("sending is halted for the tenant", State.WAITING),
    "not_graduated": ("its category and language are no longer open to be sent by themselves", State.WAITING),
    "escalated": ("the conversation waits for a person", State.WAITING),
    "article_changed": ("a cited article was changed or withdrawn", State.WAITING),
}


@dataclass(frozen=True)
class Stale:
    why: str
    then: State


@dataclass(frozen=True)
class Claimed:
    outgoing: Outgoing
    claim: UUID  # its own each time
    partition: int  # of its conversation in tickets.raw
    attempts: int
    age_s: float  # since the decision, or the routed event, that it follows from
    doubted_s: float | None  # since an attempt began whose outcome is not known


class Outbox:
    """``runtime`` works for all tenants; ``app`` sees the articles of one."""

    def __init__(self, runtime: Pool, app: Pool) -> None:
        self._runtime = runtime
        self._app = app

    async def claim(self, limit: int, *, lease_s: float, settled_s: float) -> list[Claimed]:
        """``settled_s``: so long after an attempt began it is seen whether it landed."""
        claim = uuid4()
        rows = await self._runtime.fetch(query("desk/claim_replies"), claim, limit, lease_s, settled_s)
        return [_claimed(dict(row), claim) for row in rows]

    async def projected(self) -> dict[int, int]:
        """How far the tables have tickets.raw: partition to next offset."""
        rows = await self._runtime.fetch(query("desk/offsets"), NAME)
        return {row["partition"]: row["next_offset"] for row in rows if row["topic_id"] == DOOR}

    async def begin(self, claimed: Claimed, *, within_s: float) -> Stale | bool:
        """The last look. True: it may be sent, and is in doubt from now on. False: the claim is gone, or ends too
        soon."""
        reply = claimed.outgoing
        async with self._app.transaction(reply.tenant) as connection:
            why: str | None = await connection.fetchval(query("desk/why_stale"), reply.tenant, reply.reply_id)
            if why is not None:
                return Stale(*_WHY[why])
            began = await connection.fetchval(
                query("desk/begin_reply"), reply.tenant, reply.reply_id, claimed.claim, within_s
            )
        return bool(began)

    async def sent(self, reply: Outgoing, remote_id: str) -> None:
        await self._runtime.fetch(query("desk/reply_sent"), reply.tenant, reply.reply_id, remote_id, "sender")

    async def later(self, claimed: Claimed, why: str, *, in_s: float, did_not_land: bool) -> None:
        await self._runtime.fetch(
            query("desk/reply_later"), claimed.outgoing.reply_id, claimed.claim, _storable(why), in_s, did_not_land
        )

    async def stale(self, claimed: Claimed, stale: Stale) -> None:
        await self._end(claimed, "stale", stale.why, stale.then)

    async def failed(self, claimed: Claimed, why: str) -> None:
        """It did not land; a person decides anew."""
        await self._end(claimed, "failed", f"could not be sent: {why}", State.WAITING)

    async def unknown(self, claimed: Claimed, why: str) -> None:
        await self._end(claimed, "unknown", f"may have been sent: {why}", State.UNKNOWN)

    async def _end(self, claimed: Claimed, outcome: str, why: str, then: State) -> None:
        await self._runtime.fetch(
            query("desk/reply_ended"), claimed.outgoing.reply_id, claimed.claim, outcome, _storable(why), then
        )


def _claimed(row: Mapping[str, Any], claim: UUID) -> Claimed:
    # The driver's own kind of UUID is one that not every encoder knows.
    return Claimed(
        Outgoing(
            reply_id=UUID(int=row["reply_id"].int), tenant=row["tenant"], ticket_id=row["ticket_id"],
            conversation_id=row["conversation_id"], channel=row["channel"], body=row["body"],
        ),
        claim=claim, partition=row["partition"], attempts=row["attempts"], age_s=row["age_s"],
        doubted_s=row["doubted_s"],
    )  # fmt: skip


def _storable(text: str) -> str:
    """What a desk answers may hold NUL, which PostgreSQL's text does not."""
    return text.replace("\0", "")[:1_000]
