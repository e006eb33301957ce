"""What comes back once a reply was sent: the ticket is opened again, or the customer rates it.

Both go to ``reviews.decided`` as a person's decisions do, and count for graduation, calibration, gaps and reports. The
pool must be the app's: it sees one tenant at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.contract import PermanentError
from app.desk.decisions import REASON_CHARS_MAX, State, check_said_why, new_decision_id
from app.desk.store import Decided, add_audit, keep_decision, locked_ticket, review_of
from app.store.database import Pool
from app.store.queries import query
from schemas.reviews import Decision

RATINGS = range(1, 6)


async def reopen(pool: Pool, tenant: str, ticket_id: str, actor: str, reason: str) -> Decided:
    """Back to the queue, before a person. Raises PermanentError: no_ticket, not_sent, no_reason, too_long."""
    check_said_why(reason)
    async with pool.transaction(tenant) as connection:
        row = await _answered(connection, tenant, ticket_id, reason)
        if row["state"] != State.SENT:
            raise PermanentError("not_sent", f"the ticket is {row['state']}: only one that is sent can be opened again")
        decided = await _keep(connection, row, Decision.REOPENED, actor, reason=reason)
        await connection.execute(
            query("desk/set_state"), tenant, ticket_id, State.ESCALATED, f"opened again: {reason.strip()}"
        )
    return decided


async def rate(pool: Pool, tenant: str, ticket_id: str, rater: str, rating: int, *, reason: str = "") -> Decided | None:
    """1 to 5; of several on one reply the last holds. None: the last one was the same.

    Raises PermanentError: no_ticket, not_sent, rating, too_long.
    """
    if rating not in RATINGS:
        raise PermanentError("rating", f"a rating is {RATINGS[0]} to {RATINGS[-1]}, not {rating}")
    async with pool.transaction(tenant) as connection:
        row = await _answered(connection, tenant, ticket_id, reason)
        last = await connection.fetchrow(query("desk/last_rating"), tenant, row["routed_event_id"])
        if last is not None and (last["rating"], last["reason"]) == (rating, reason.strip()):
            return None  # a help desk tells the same more than once
        return await _keep(connection, row, Decision.RATED, rater, reason=reason, rating=rating)


async def _answered(connection: Any, tenant: str, ticket_id: str, reason: str) -> Mapping[str, Any]:
    """The ticket, locked; it has an answer of ours to its newest message."""
    if len(reason) > REASON_CHARS_MAX:
        raise PermanentError("too_long", f"a reason has at most {REASON_CHARS_MAX:,} characters")
    row = await locked_ticket(connection, tenant, ticket_id)
    if not row["is_answered"] or row["signals"] is None:
        raise PermanentError("not_sent", "no reply to this ticket's newest message was sent from here")
    return row


async def _keep(
    connection: Any, row: Mapping[str, Any], decision: Decision, actor: str, *, reason: str, rating: int | None = None
) -> Decided:
    decided = Decided(
        id=new_decision_id(row["routed_event_id"], row["decisions"]), decision=decision, actor=actor,
        reason=reason.strip(), reply="", words_changed=None, material=None, at=row["now"], undone_at=None,
    )  # fmt: skip
    await keep_decision(connection, row, decided, review_of(row, decided, decision, rating=rating))
    await add_audit(
        connection, row["tenant"], actor, action=decision, subject=row["ticket_id"],
        details={"decision_id": str(decided.id), "reason": decided.reason, "rating": rating},
    )  # fmt: skip
    return decided
