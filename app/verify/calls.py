"""Which calls were paid more than once, by the provider's own log; which of those a fault explains; and whether the
ledger and the bus say what the provider says.

The same question has the same request body. A fault can make it be paid again only where its answer was under way, or
not yet stored, when its worker was killed or frozen. Broker and database restarts explain nothing: a worker keeps an
answer and stores it when the database is back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# An answer is stored within this, or is counted as one that a kill may have lost.
WRITE_DELAY_S = 1.0
# On a machine that is busy it takes longer: then too, but only where the ledger never got the answer.
WRITE_DELAY_S_MAX = 5.0
# A call that was reserved before its worker froze, but not yet sent, is sent when it wakes.
SEND_DELAY_S = 1.0

OK = 200
# What the provider counts as answered although its bytes were of no use: an embedding has no repair, so the same
# request is made again.
EMBED_STAGE = "enrich"
CONFIRMED = frozenset({"ok", "malformed"})
# Listed with their bound: the answer was lost, or is not back yet.
UNCONFIRMED = frozenset({"unconfirmed", "in_flight"})


@dataclass(frozen=True)
class Request:
    """One request in the provider's own log."""

    call_id: str
    digest: str  # of the body
    stage: str
    began: float  # seconds since 1970
    ended: float
    paid: bool = True
    spoilt: bool = False  # the answer was malformed or cut off
    tokens: tuple[int, int] = (0, 0)  # of the prompt, of the answer


@dataclass(frozen=True)
class Row:
    """One call as the ledger or the bus has it."""

    call_id: str
    outcome: str
    tokens: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Moment:
    """A worker of ``stage`` was killed, frozen or woken."""

    at: float
    stage: str
    fault: str


@dataclass(frozen=True)
class Outage:
    """The database was away, so that no answer could be stored."""

    began: float
    ended: float


@dataclass(frozen=True)
class Faults:
    moments: Sequence[Moment] = ()
    outages: Sequence[Outage] = ()

    def explain(self, request: Request, lost: Collection[str] = ()) -> str | None:
        """The fault that may have lost this request's answer. ``lost``: calls whose answers the ledger never got."""
        delay_s = WRITE_DELAY_S_MAX if request.call_id in lost else WRITE_DELAY_S
        for moment in self.moments:
            if moment.stage == request.stage and (
                request.began <= moment.at + SEND_DELAY_S and request.ended >= self._stored_before(moment.at, delay_s)
            ):
                return moment.fault
        return None

    def _stored_before(self, at: float, delay_s: float) -> float:
        """What was answered before this was stored by ``at``."""
        began = [outage.began for outage in self.outages if outage.began <= at and outage.ended + delay_s >= at]
        return min([at, *began]) - delay_s


@dataclass(frozen=True)
class Calls:
    paid: int = 0
    repeated: int = 0  # paid requests beyond the first of a question
    bound: int = 0  # paid requests whose answer a fault may have lost
    bound_by_fault: Mapping[str, int] = field(default_factory=dict)
    unexplained: tuple[str, ...] = ()  # questions paid again where no fault may have lost an answer
    at_once: int = 0  # of the repeated, those made while the other was still under way
    unconfirmed: int = 0  # in the ledger, with their upper bound
    off_bus: int = 0  # confirmed in the ledger, and on the bus not at all or as unconfirmed
    unaccounted: tuple[str, ...] = ()  # where provider, ledger and bus disagree


def count_calls(requests: Sequence[Request], faults: Faults, ledger: Sequence[Row] | None, bus: Sequence[Row]) -> Calls:
    """``ledger`` is None where there is none: the journal was switched off."""
    paid = [request for request in requests if request.paid]
    asked: dict[str, list[Request]] = defaultdict(list)
    for request in paid:
        if not (request.spoilt and request.stage == EMBED_STAGE):
            asked[request.digest].append(request)
    again = [sorted(same, key=lambda one: one.began) for same in asked.values() if len(same) > 1]
    lost = {row.call_id for row in ledger or () if row.outcome in UNCONFIRMED}
    explained = Counter(fault for request in paid if (fault := faults.explain(request, lost)))
    return Calls(
        paid=len(paid),
        repeated=sum(len(same) - 1 for same in again),
        bound=explained.total(),
        bound_by_fault=dict(explained),
        unexplained=tuple(_unexplained(again, faults, lost)),
        at_once=sum(later.began < one.ended for same in again for one, later in pairwise(same)),
        unconfirmed=sum(row.outcome in UNCONFIRMED for row in ledger or ()),
        off_bus=len(_confirmed(ledger or ()) - _confirmed(bus)),
        unaccounted=tuple(_unaccounted(paid, ledger, bus)),
    )


def _confirmed(rows: Sequence[Row]) -> set[str]:
    return {row.call_id for row in rows if row.outcome in CONFIRMED}


def _unexplained(again: Iterable[Sequence[Request]], faults: Faults, lost: Collection[str]) -> Iterable[str]:
    for same in again:
        explained = sum(faults.explain(request, lost) is not None for request in same)
        if len(same) - 1 > explained:
            calls = ", ".join(request.call_id for request in same)
            yield f"{same[0].stage}: paid {len(same)} times, {explained} explained by faults: calls {calls}"


def _unaccounted(paid: Sequence[Request], ledger: Sequence[Row] | None, bus: Sequence[Row]) -> Iterable[str]:
    told = {request.call_id: request for request in paid if request.call_id}
    if ledger is not None:
        rows = {row.call_id: row for row in ledger}
        yield from _paid_but_not_in_ledger(told, rows)
        yield from _told_otherwise("the ledger", ledger, told)
        yield from (f"{row.call_id}: on the bus, not in the ledger" for row in bus if row.call_id not in rows)
    yield from _told_otherwise("the bus", bus, told)


def _paid_but_not_in_ledger(told: Mapping[str, Request], rows: Mapping[str, Row]) -> Iterable[str]:
    for call_id in told:
        row = rows.get(call_id)
        if row is None or row.outcome not in CONFIRMED | UNCONFIRMED:
            yield f"{call_id}: paid, {row.outcome if row else 'missing'} in the ledger"


def _told_otherwise(where: str, rows: Sequence[Row], told: Mapping[str, Request]) -> Iterable[str]:
    for row in rows:
        if row.outcome not in CONFIRMED:
            continue
        request = told.get(row.call_id)
        if request is None:
            yield f"{row.call_id}: confirmed in {where}, never paid"
        elif request.tokens != row.tokens:
            yield f"{row.call_id}: {row.tokens} tokens in {where}, {request.tokens} at the provider"
