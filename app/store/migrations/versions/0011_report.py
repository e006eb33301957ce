"""What a report counts: every routed message, and how long a review took."""

from app.store.migrations.sql import run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run("0011_report.sql")
