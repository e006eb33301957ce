"""Articles as they were: a version is never changed, only withdrawn when another takes its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.store.database import Pool
from app.store.queries import query


@dataclass(frozen=True)
class Version:
    document_id: str
    version: int
    versions: int  # of the document, this one among them
    title: str
    locale: str | None
    audience: str
    url: str | None
    collection: str
    imported_at: datetime
    withdrawn_at: datetime | None
    passages: tuple[Mapping[str, str], ...]  # heading and text, as they are searched: each may begin as the last ended

    def as_json(self) -> dict[str, Any]:
        withdrawn_at = self.withdrawn_at and self.withdrawn_at.isoformat()
        return {**asdict(self), "imported_at": self.imported_at.isoformat(), "withdrawn_at": withdrawn_at}


async def document_version(
    pool: Pool, tenant: str, document_id: str, *, version: int | None = None, as_of: datetime | None = None
) -> Version | None:
    """The version of that number, or the one that was valid then; the newest without either."""
    async with pool.transaction(tenant) as connection:
        row = await connection.fetchrow(query("document_version"), tenant, document_id, version, as_of)
        if row is None:
            return None
        chunks = await connection.fetch(query("version_chunks"), tenant, document_id, row["version"])
    return Version(**row, passages=tuple(dict(chunk) for chunk in chunks))
