"""A search whose work does not grow with other tenants' chunks, and past tickets that vote in it."""

from app.store.migrations.sql import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run("0005_search.sql")
