"""Which replies are on the bus."""

from app.store.migrations.sql import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run("0015_replies_sent.sql")
