"""Reads a tenant's routed tickets and reviews, and tells what the knowledge base lacks."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from agents.enrich import QUERY_CHARS_MAX
from app.kafka.reading import each_event
from app.knowledge.chunk import tokens_estimate
from app.knowledge.gaps import TICKETS_MAX, Weak, clusters, common_words, lowest, text_of, weak
from app.models.masking import Mask
from app.ports import Embedder, Knowledge, Vector
from app.reviews import read_reviews
from schemas.reviews import Decision, ReviewDecided
from schemas.tickets import TicketRouted

# As many of the tenant's tickets as are held to tell what is usual: newest first.
EVENTS_MAX = 20_000
TEXTS_MAX = 32  # of one request for vectors
# Well answered tickets that show, with the others, where the middle of the tenant's tickets lies.
BACKGROUND_MAX = 200
EXAMPLES_MAX = 5
EXAMPLE_CHARS_MAX = 160


@dataclass(frozen=True)
class Read:
    """``weak``: newest first, at most as many as are compared."""

    tickets: int
    unreadable: int
    weak: tuple[Weak, ...]
    weak_in_all: int
    background: tuple[TicketRouted, ...]

    @property
    def texts(self) -> list[str]:
        return [text[:QUERY_CHARS_MAX] for text in (*(one.text for one in self.weak), *map(text_of, self.background))]

    @property
    def tokens(self) -> int:
        return sum(map(tokens_estimate, self.texts))


@dataclass(frozen=True)
class Gap:
    members: tuple[Weak, ...]  # the most central first
    words: tuple[str, ...]
    nearest: str | None  # article
    nearest_title: str | None

    @property
    def language(self) -> str:
        languages = [one.event.verdict.language for one in self.members]
        return max(sorted(set(languages)), key=languages.count)

    @property
    def reasons(self) -> dict[str, int]:
        kinds = [why.split(" 0.")[0] for one in self.members for why in one.why]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def as_json(self) -> dict[str, Any]:
        return {
            "tickets": len(self.members),
            "language": self.language,
            "words": list(self.words),
            "reasons": self.reasons,
            "nearest_article": self.nearest,
            "nearest_title": self.nearest_title,
            "examples": [
                {"ticket_id": one.event.ticket.ticket_id, "root_id": one.event.root_id, "text": shortened(one.text)}
                for one in self.members[:EXAMPLES_MAX]
            ],
        }


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= EXAMPLE_CHARS_MAX else line[: EXAMPLE_CHARS_MAX - 1] + "…"


async def read(client: Mapping[str, Any], tenant: str, *, since: datetime | None, similarity_min: float | None) -> Read:
    """Raises KafkaError, TimeoutError, PermanentError."""
    newest: list[tuple[datetime, str, TicketRouted]] = []
    seen: set[str] = set()
    total = 0

    def take(event: TicketRouted) -> None:
        nonlocal total
        if event.event_id in seen:
            return
        seen.add(event.event_id)
        total += 1
        entry = (event.accepted_at, event.event_id, event)
        if len(newest) < EVENTS_MAX:
            heapq.heappush(newest, entry)
        else:
            heapq.heappushpop(newest, entry)

    unreadable = await each_event(client, TicketRouted, take, tenant=tenant, since=since)
    rewritten = _rewritten(await read_reviews(client, tenant, since=since))
    events = [event for _, _, event in sorted(newest, reverse=True)]
    limit = lowest(events) if similarity_min is None else similarity_min
    judged = [(event, weak(event, similarity_min=limit, rewritten=rewritten)) for event in events]
    found = [one for _, one in judged if one is not None]
    return Read(
        tickets=total,
        unreadable=unreadable,
        weak=tuple(found[:TICKETS_MAX]),
        weak_in_all=len(found),
        background=tuple(event for event, one in judged if one is None)[:BACKGROUND_MAX],
    )


async def gaps(
    found: Read, embedder: Embedder, knowledge: Knowledge, *, tenant: str, size_min: int, masks: bool
) -> list[Gap]:
    """Groups of at least ``size_min`` tickets, largest first. ``masks``: personal data do not go to the embedder."""
    if not found.weak:
        return []
    vectors = await _embedded([Mask().mask(text) if masks else text for text in found.texts], embedder)
    own = vectors[: len(found.weak)]
    texts = [one.text for one in found.weak]
    told = []
    for group in clusters(own, vectors.mean(axis=0)):
        if len(group) < size_min:
            break
        members = tuple(found.weak[row] for row in group)
        central = members[0]
        others = [text for row, text in enumerate(texts) if row not in set(group)] + [*map(text_of, found.background)]
        nearest = await knowledge.search(
            tenant=tenant, query=central.text[:QUERY_CHARS_MAX], vector=own[group[0]],
            language=central.event.verdict.language, limit=1,
        )  # fmt: skip
        told.append(
            Gap(
                members,
                common_words([one.text for one in members], others),
                nearest[0].document_id if nearest else None,
                nearest[0].title if nearest else None,
            )
        )
    return told


async def _embedded(texts: Sequence[str], embedder: Embedder) -> Vector:
    parts = []
    for start in range(0, len(texts), TEXTS_MAX):
        vectors, _ = await embedder.embed(texts[start : start + TEXTS_MAX], kind="query")
        parts.append(vectors)
    return np.concatenate(parts)


def _rewritten(reviews: Sequence[ReviewDecided]) -> dict[str, str]:
    """Root id to what became of its draft, where it was not good enough."""
    return {
        one.root_id: str(one.decision)
        for one in reviews
        if one.decision in (Decision.REJECTED, Decision.REOPENED)
        or (one.decision is Decision.EDITED and one.edit and one.edit.material)
    }
