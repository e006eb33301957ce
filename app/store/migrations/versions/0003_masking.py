"""Whether a tenant's personal data are masked before they go to a provider."""

from app.store.migrations.sql import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run("0003_masking.sql")
