"""What was done with a dead letter."""

from app.store.migrations.sql import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run("0002_dead_letters.sql")
