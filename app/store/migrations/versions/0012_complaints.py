"""What a routed message was about: which replies were complained of, and which work was stale."""

from app.store.migrations.sql import run

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run("0012_complaints.sql")
