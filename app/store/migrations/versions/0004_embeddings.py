"""Vectors in a table of their own, so that those of two models can stand side by side."""

from app.store.migrations.sql import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run("0004_embeddings.sql")
