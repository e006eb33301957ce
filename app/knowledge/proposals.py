"""Articles that a person may write: Markdown files, never imported by themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from agents.article import Article, propose
from app.kafka.cloudevents import to_output
from app.knowledge.documents import PROPOSAL_SUFFIX
from app.knowledge.gap_report import EXAMPLES_MAX, Gap, shortened
from app.ports import Answerer, CallContext, LedgerRow
from app.stage import usage_event
from schemas.event import derived_id
from schemas.tickets import TicketRouted

STAGE = "gaps"
_SLUG_CHARS_MAX = 60


async def drafted(gap: Gap, answerer: Answerer, client: Mapping[str, Any], *, tenant: str) -> Article:
    """Asks the model; what it cost goes to llm.usage. The same tickets are not paid for twice. Raises as the answerer
    does, and KafkaError."""
    central = gap.members[0].event
    event_id = derived_id("\n".join(sorted(one.event.root_id for one in gap.members)), STAGE)
    answered = await answerer.answer(
        propose([one.event.ticket for one in gap.members], language=gap.language),
        CallContext(tenant, STAGE, event_id, central.root_id, replay=0, question=0),
    )
    await _publish(client, central, answered.ledger)
    article: Article = answered.value
    return article


def markdown(gap: Gap, article: Article | None) -> str:
    """``article``: None where no language model was there to ask."""
    title = article.title if article else ", ".join(gap.words) or "Untitled"
    outline = article.outline if article else [shortened(one.text) for one in gap.members[:EXAMPLES_MAX]]
    lines = [
        f"# {title}",
        "",
        "> A proposal: a person writes and approves the article. Nothing here was checked, and it is not imported.",
        f"> Asked in {len(gap.members)} tickets; {'; '.join(f'{kind}: {n}' for kind, n in gap.reasons.items())}.",
        f"> Nearest article: {gap.nearest or 'none'}.",
    ]
    if article is None:
        lines.append("> No language model was asked: the title is made of common words, the outline of questions.")
    for heading in outline:
        lines += ["", f"## {heading}", "", "(to be written)"]
    if article and article.unclear:
        lines += ["", "## To find out first", "", *(f"- {question}" for question in article.unclear)]
    lines += ["", "## Tickets", "", *(f"- {one.event.ticket.ticket_id}" for one in gap.members)]
    return "\n".join(lines) + "\n"


def write(folder: Path, number: int, gap: Gap, article: Article | None) -> Path:
    """Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    words = article.title if article else "-".join(gap.words)
    slug = re.sub(r"\W+", "-", words.lower()).strip("-")[:_SLUG_CHARS_MAX] or "gap"
    file = folder / f"{number:02}-{slug}{PROPOSAL_SUFFIX}"
    file.write_text(markdown(gap, article), encoding="utf-8")
    return file


async def _publish(client: Mapping[str, Any], event: TicketRouted, ledger: tuple[LedgerRow, ...]) -> None:
    producer = AIOKafkaProducer(**client, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        for row in ledger:
            output = to_output(usage_event(event, row))
            await producer.send_and_wait(output.topic, key=output.key, value=output.value, headers=list(output.headers))
    finally:
        await producer.stop()
