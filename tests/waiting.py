"""Tickets as they stand in the desk's table, for tests of what people see."""

from __future__ import annotations

from typing import Any

import orjson

from app.desk.terms import terms
from app.store.database import Pool
from schemas.tickets import Claim, Grounding, Passage

PASSAGES = (
    Passage(document_id="print-note", version=3, chunk=0, title="Print a note", heading="Without comments",
            text="Open the note, choose File, then Print. Clear the box Comments: they are left out on paper.",
            locale="en", score=0.9),
    Passage(document_id="shortcuts", version=1, chunk=2, title="Keyboard shortcuts",
            text="Ctrl+P prints the note that is open. On a Mac it is Cmd+P.", locale="en", score=0.5),
)  # fmt: skip
DRAFT = (
    "Hello,\n\nopen the note, choose File, then Print, and clear the box Comments: they are left out on paper."
    " [print-note]\n\nCtrl+P prints the note that is open. [shortcuts]\n\nKind regards"
)
GROUNDING = Grounding(
    claims=(
        Claim(text="Choose File, then Print, and clear the box Comments.", supported=True, document_id="print-note"),
        Claim(text="Ctrl+P prints the note that is open.", supported=True, document_id="shortcuts"),
    )
)
_COLUMNS = """insert into ticket (tenant, ticket_id, conversation_id, root_id, source, partition, channel, subject,
    customer_text, requester, accepted_at, state, routed_event_id, routed_at, route, reasons, language, category,
    priority, stakes, draft_body, draft_model, citations, passages, grounding, signals, confidence, cost_usd)
values ($1, $2, $2, $3, 'test', 0, 'email', $4, $5, $6, now() - make_interval(secs => $7), $8, $9, now(), $10, $11,
    $12, $13, $14, $15, $16, 'offline-draft', $17, $18, $19, $20, $21, $22)"""
_SIGNALS = {"classification": 0.9, "draft": 0.8}


async def add_ticket(pool: Pool, tenant: str, ticket_id: str, **given: Any) -> None:
    """``pool`` is the runtime's. The older ``age_s``, the sooner its turn."""
    row: dict[str, Any] = {
        "subject": f"Printing without comments ({ticket_id})", "text": "Is there a way to print without comments?",
        "requester": "Ada", "age_s": 60.0, "state": "waiting", "route": "review",
        "reasons": ["the tenant is in draft mode"], "language": "en", "category": "how_to", "priority": "normal",
        "stakes": [], "draft": DRAFT, "confidence": None, "cost_usd": "0.0042", "grounding": GROUNDING, **given,
    }  # fmt: skip
    async with pool.transaction() as connection:
        await connection.execute(
            _COLUMNS, tenant, ticket_id, f"root-{tenant}-{ticket_id}", row["subject"], row["text"], row["requester"],
            row["age_s"], row["state"], f"routed-{tenant}-{ticket_id}", row["route"], row["reasons"], row["language"],
            row["category"], row["priority"], row["stakes"], row["draft"], ["print-note", "shortcuts"],
            orjson.dumps([passage.model_dump(mode="json") for passage in PASSAGES]).decode(),
            row["grounding"].model_dump_json() if row["grounding"] else None, orjson.dumps(_SIGNALS).decode(),
            row["confidence"], row["cost_usd"],
        )  # fmt: skip
        await connection.execute(
            "insert into ticket_term values ($1, $2, as_terms($1, $3))", tenant, ticket_id,
            terms(ticket_id, row["subject"], row["text"]),
        )  # fmt: skip
        await connection.execute(
            "insert into message (tenant, conversation_id, ticket_id, event_id, author, body, at)"
            " values ($1, $2, $2, $3, 'customer', $4, now() - make_interval(secs => $5))",
            tenant, ticket_id, f"root-{tenant}-{ticket_id}", row["text"], row["age_s"],
        )  # fmt: skip
