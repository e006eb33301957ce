"""Whether a model picks a tenant's passages out of more."""

from app.store.migrations.sql import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run("0010_rerank.sql")
