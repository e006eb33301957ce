"""Tenants, knowledge base, journal, claims."""

from app.store.migrations.sql import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run("0001_start.sql")
