"""Runs a file of SQL statements inside alembic's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

_VERSIONS = Path(__file__).parent / "versions"


def run(name: str) -> None:
    # SQLAlchemy prepares each statement, and a prepared statement is one statement: hence the driver's own connection.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    await_only(driver.execute((_VERSIONS / name).read_text(encoding="utf-8")))
