"""How often articles name each other, for the ranking of a search."""

from app.store.migrations.sql import run

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run("0014_named.sql")
