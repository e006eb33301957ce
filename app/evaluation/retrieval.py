"""Judged questions through the tenant's search, beside BM25 over the same articles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.contract import PermanentError
from app.evaluation.bm25 import Bm25
from app.evaluation.data import Row, message
from app.evaluation.figures import Figure
from app.knowledge.measures import MEASURES, Estimate, estimates, scores

FOUND_MAX = 10  # nDCG@10
HIT5_WANTED = 0.40
ALL = "all"
_GOLD = ("gold_doc_ids", "document_ids", "doc_ids")
_LOCALE_ROWS_MIN = 2  # one question has no interval

Find = Callable[[str, str], Awaitable[Sequence[str]]]  # question, locale
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged:
    query: str
    locale: str
    wanted: frozenset[str]


@dataclass(frozen=True)
class Measured:
    """Of one locale, or of ALL: each measure of the search and of BM25."""

    locale: str
    rows: int
    search: Mapping[str, Estimate]
    bm25: Mapping[str, Estimate]

    def as_json(self) -> dict[str, Any]:
        systems = {"search": self.search, "bm25": self.bm25}
        return {
            "locale": self.locale,
            "rows": self.rows,
            **{
                system: {name: {"mean": e.mean, "low": e.low, "high": e.high} for name, e in found.items()}
                for system, found in systems.items()
            },
        }


def judged(rows: Sequence[Row]) -> list[Judged]:
    """Rows with ``text`` (or ``query``), ``subject``, ``locale`` and ``gold_doc_ids``. Raises PermanentError."""
    found = []
    for number, row in enumerate(rows, start=1):
        wanted = next((row[name] for name in _GOLD if row.get(name)), None)
        if not isinstance(wanted, list) or not message(row).strip():
            raise PermanentError("bad_row", f"row {number}: each needs text and gold_doc_ids, a list of article ids")
        found.append(Judged(message(row), row.get("locale") or "und", frozenset(map(str, wanted))))
    if not found:
        raise PermanentError("no_rows", "there are no judged questions in the file")
    return found


async def measure(
    questions: Sequence[Judged], find: Find, articles: Mapping[str, str], *, progress: Progress
) -> list[Measured]:
    """ALL first, then each locale that has more than one question, the most frequent first."""
    bm25 = Bm25(articles)
    by_locale: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {ALL: []}
    for number, question in enumerate(questions, start=1):
        found = await find(question.query, question.locale)
        pair = (
            scores(list(dict.fromkeys(found)), question.wanted),
            scores(bm25.search(question.query, FOUND_MAX), question.wanted),
        )
        by_locale[ALL].append(pair)
        by_locale.setdefault(question.locale, []).append(pair)
        progress(number, len(questions))
    return [
        Measured(locale, len(pairs), estimates([ours for ours, _ in pairs]), estimates([theirs for _, theirs in pairs]))
        for locale, pairs in sorted(by_locale.items(), key=lambda item: (item[0] != ALL, -len(item[1])))
        if len(pairs) >= _LOCALE_ROWS_MIN
    ]


def figures(measured: Sequence[Measured], *, model: str) -> list[Figure]:
    found = measured[0]
    ours, theirs = found.search["hit@5"], found.bm25["hit@5"]
    return [
        Figure(
            "retrieval.hit5", ours.mean, found.rows, model, at_least=HIT5_WANTED,
            note=f"95 % confidence: {ours.low:.3f} to {ours.high:.3f}",
            details={name: found.search[name].mean for name in MEASURES},
        ),
        Figure(
            "retrieval.bm25_hit5", theirs.mean, found.rows, "BM25 over whole articles",
            note=f"95 % confidence: {theirs.low:.3f} to {theirs.high:.3f}",
            details={name: found.bm25[name].mean for name in MEASURES},
        ),
    ]  # fmt: skip
