"""What became of the workspace's tickets, against the time before: what ``deskstream report`` prints, with its bars."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from app.console.accounts import Session
from app.console.jobs import Job, Jobs
from app.console.roles import Role
from app.console.web import console_of, page, render
from app.desk.report import SETTLED_DAYS, Report, against_before
from app.store.database import Pool

DAYS = (7, 30, 90)
DAYS_SHOWN = 30
# A workspace's tickets of months are counted for seconds: by a job, whose result is shown for a while.
KEPT, PROBLEM_KEPT = timedelta(minutes=5), timedelta(seconds=5)
WAIT_S = 0.3  # most workspaces' are counted by then, and their page comes whole
NONE = "–"

Number = int | float | Decimal
Reports = Jobs[None, tuple[Report, ...]]
Count = Callable[[str, int], Awaitable[tuple[Report, ...]]]  # of a workspace, for so many days


@dataclass(frozen=True)
class Line:
    """``name``: of its words. For each report a value, and its bar in hundredths; no bars without a comparison."""

    name: str
    values: tuple[str, ...]
    bars: tuple[float, ...] = ()
    is_part: bool = False  # of the line before


def lines(reports: Sequence[Report]) -> list[Line]:
    def line(
        name: str, shown: Callable[[Report], str], figure: Callable[[Report], Number | None] | None = None, *,
        whole: float | None = None, is_part: bool = False,
    ) -> Line:  # fmt: skip
        """``whole``: how much the longest bar stands for; None: the largest figure."""
        figures = [figure(each) for each in reports] if figure else []
        return Line(name, tuple(map(shown, reports)), _bars(figures, whole), is_part)

    return [
        line("tickets", lambda one: _count(one.tickets), lambda one: one.tickets),
        line("resolved", lambda one: _share(one.resolved_share, one.resolved), lambda one: one.resolved_share, whole=1),
        line("unsettled", lambda one: _count(one.unsettled), is_part=True),
        line("retracted", lambda one: _count(one.retracted), is_part=True),
        line("reviews", lambda one: _count(one.reviews), lambda one: one.reviews),
        line("under_a_minute", lambda one: _share(one.under_a_minute_share, one.reviews_under_a_minute),
             lambda one: one.under_a_minute_share, whole=1),
        line("review_s", lambda one: _number(one.review_s_median, "{:.0f} s"), lambda one: one.review_s_median),
        line("cost_ticket", lambda one: _number(one.cost_usd_per_ticket, "${:.4f}"),
             lambda one: one.cost_usd_per_ticket),
        line("cost_resolution", lambda one: _number(one.cost_usd_per_resolution, "${:.4f}"),
             lambda one: one.cost_usd_per_resolution),
        line("stale", lambda one: f"{_count(one.stale)} (${one.stale_cost_usd:.4f})", lambda one: one.stale_cost_share,
             whole=1),
        line("csat", lambda one: _share(one.csat, one.ratings_good), lambda one: one.csat, whole=1),
    ]  # fmt: skip


def _bars(figures: Sequence[Number | None], whole: float | None) -> tuple[float, ...]:
    if all(figure is None for figure in figures):
        return ()
    known = [float(figure or 0) for figure in figures]
    longest = whole or max(known, default=0)
    return tuple(round(100 * figure / longest, 2) for figure in known) if longest else ()


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")  # no language takes that for a decimal sign


def _number(number: Number | None, form: str) -> str:
    return NONE if number is None else form.format(number)


def _share(share: float | None, part: int) -> str:
    return NONE if share is None else f"{share * 100:.1f} % ({_count(part)})"


def jobs_of(count: Count) -> Mapping[int, Reports]:
    """For each of DAYS jobs of its own: whoever looks at another one takes nobody's away."""
    return {days: Jobs(partial(_counted, count, days)) for days in DAYS}


async def _counted(count: Count, days: int, tenant: str, _: None) -> tuple[Report, ...]:
    """A job's work."""
    return await count(tenant, days)


async def counted(pool: Pool, tenant: str, days: int) -> tuple[Report, ...]:
    return await against_before(pool, tenant, days, now=datetime.now(UTC))


async def _show(request: Request, session: Session) -> Response:
    given = request.query_params.get("days", "")
    days = int(given) if given in map(str, DAYS) else DAYS_SHOWN
    jobs = console_of(request).reports[days]
    job = jobs.of(session.tenant)
    if job is None or (not job.is_running and not _is_fresh(job)):
        jobs.start(session.tenant, None)
        await jobs.wait(session.tenant, WAIT_S)
        job = jobs.of(session.tenant)
    assert job is not None, "one was started"
    found = job.result or ()
    return render(
        request, "report.html", lines=lines(found), is_empty=not any(each.tickets for each in found), job=job,
        days=days, choices=DAYS, settled_days=SETTLED_DAYS,
    )  # fmt: skip


def _is_fresh(job: Job[None, tuple[Report, ...]]) -> bool:
    return datetime.now(UTC) - job.began_at < (PROBLEM_KEPT if job.problem else KEPT)


show = page(Role.VIEWER, _show)
