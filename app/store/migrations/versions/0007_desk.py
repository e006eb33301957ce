"""What people see and decide on, what is sent, and who did what."""

from app.store.migrations.sql import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run("0007_desk.sql")
