"""Who may sign in to the console, and what machines may ask of it."""

from app.store.migrations.sql import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run("0008_console.sql")
