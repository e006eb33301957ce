"""What may be sent without a person, who opened it, and what stops it."""

from app.store.migrations.sql import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run("0009_trust.sql")
