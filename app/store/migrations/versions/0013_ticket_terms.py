"""Tickets are found by an index over their words."""

from alembic import op
from sqlalchemy import text

from app.desk.terms import SEARCHED_CHARS_MAX, terms
from app.store.migrations.sql import run

revision = "0013"
down_revision = "0012"

_ROWS = 1_000
_READ = text(
    "select tenant, ticket_id, left(subject, :chars) as subject, left(customer_text, :chars) as text from ticket"
    " where (tenant, ticket_id) > (:tenant, :ticket_id) order by tenant, ticket_id limit :rows"
)
_FILL = text("insert into ticket_term values (:tenant, :ticket_id, as_terms(:tenant, cast(:terms as text[])))")
# What was added of late lies in a list, which each search reads through: a short one.
_INDEX = "create index ticket_term_terms on ticket_term using gin (terms) with (gin_pending_list_limit = 512)"


def upgrade() -> None:
    run("0013_ticket_terms.sql")
    connection, last = op.get_bind(), {"tenant": "", "ticket_id": ""}
    while rows := connection.execute(_READ, {**last, "chars": SEARCHED_CHARS_MAX, "rows": _ROWS}).all():
        last = {"tenant": rows[-1].tenant, "ticket_id": rows[-1].ticket_id}
        filled = [
            {"tenant": row.tenant, "ticket_id": row.ticket_id, "terms": terms(row.ticket_id, row.subject, row.text)}
            for row in rows
        ]
        connection.execute(_FILL, filled)
    op.execute(_INDEX)
