"""What a provider's headers say about its limits. Pure: the clock is an argument.

OpenAI:    x-ratelimit-{limit,remaining,reset}-{requests,tokens}          reset: a duration, such as 6m0s or 12ms
Anthropic: anthropic-ratelimit-{requests,tokens,...}-{limit,remaining,reset}   reset: a time of RFC 3339
Both count in a bucket that fills steadily; reset is when it will be full, not when the next call is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WAIT_S_MAX = 300.0  # then it is asked again, whatever it said

_ALLOWANCES_MAX = 8  # of one answer
_RESET_S_MAX = 31 * 86_400.0  # a longer one is no duration: a time in seconds since 1970, say
_OPENAI = re.compile(r"x-ratelimit-(?P<field>limit|remaining|reset)-(?P<kind>[\w-]+)")
_ANTHROPIC = re.compile(r"anthropic-ratelimit-(?P<kind>[\w-]+)-(?P<field>limit|remaining|reset)")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS_S = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of one kind: requests, or tokens of some sort."""

    kind: str
    remaining: float
    limit: float | None  # not every server says it
    full_after_s: float

    @property
    def counts_calls(self) -> bool:
        return "token" not in self.kind


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer says of the limits of its model."""

    allowances: tuple[Allowance, ...]
    asked_at: float  # by the monotonic clock
    tokens: int = 0  # that the call may have counted for; 0: not known, as of one that was refused


def allowances(headers: Iterable[tuple[str, str]], now: datetime) -> tuple[Allowance, ...]:
    """Only what is told in full. ``now`` is our clock's: theirs is taken where the answer is dated."""
    found: dict[str, dict[str, str]] = {}
    date = ""
    for name, value in headers:
        if name == "date":
            date = value
        elif "ratelimit" in name and (match := _OPENAI.fullmatch(name) or _ANTHROPIC.fullmatch(name)):
            found.setdefault(match["kind"], {})[match["field"]] = value
    if not found:
        return ()
    now = _http_date(date) or now
    told = (_allowance(kind, fields, now) for kind, fields in list(found.items())[:_ALLOWANCES_MAX])
    return tuple(one for one in told if one)


def _allowance(kind: str, fields: dict[str, str], now: datetime) -> Allowance | None:
    remaining, full_after_s = _number(fields.get("remaining", "")), _seconds(fields.get("reset", ""), now)
    if remaining is None or full_after_s is None or full_after_s > _RESET_S_MAX:
        return None
    return Allowance(kind, remaining, _number(fields.get("limit", "")), full_after_s)


def retry_after_s(headers: Iterable[tuple[str, str]], now: datetime) -> float | None:
    """``retry-after-ms``, or ``Retry-After`` in either form: seconds, or an HTTP date."""
    given = {name: value for name, value in headers if name in {"retry-after-ms", "retry-after", "date"}}
    milliseconds, seconds = _number(given.get("retry-after-ms", "")), _number(given.get("retry-after", ""))
    if milliseconds is not None:
        wait_s = milliseconds / 1_000
    elif seconds is not None:
        wait_s = seconds
    elif at := _http_date(given.get("retry-after", "")):
        wait_s = (at - (_http_date(given.get("date", "")) or now)).total_seconds()
    else:
        return None
    return min(max(0.0, wait_s), WAIT_S_MAX)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _seconds(text: str, now: datetime) -> float | None:
    """A number of seconds, a duration, or a time to come."""
    if (number := _number(text)) is not None:
        return max(0.0, number)
    if text and (match := _DURATION.fullmatch(text)):
        return sum(float(part or 0) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):  # of a malformed date, by its kind and Python's version
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
