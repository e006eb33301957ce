"""What reviewers made of drafts, as a map to confidence, in place of a mere mark."""

from pathlib import Path

from app.store.migrations.sql import run

revision = "0006"
# The newest one before this that is there.
down_revision = max(f.name[:4] for f in Path(__file__).parent.glob("[0-9]*.py") if f.name < revision)


def upgrade() -> None:
    run("0006_calibration.sql")
