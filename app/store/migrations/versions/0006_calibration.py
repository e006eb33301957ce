"""What reviewers made of drafts, as a map to confidence, in place of a mere mark."""

from app.store.migrations.sql import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run("0006_calibration.sql")
