"""What must be there before a stage can run: the schema and the topics."""

from __future__ import annotations

from app.config import Settings
from app.kafka.connection import client_options
from app.kafka.topics import create_topics
from app.store.database import migrate


async def prepare(settings: Settings) -> None:
    """Idempotent. ``settings`` must be resolved. Raises KafkaError, TransientError."""
    assert settings.database_url
    await migrate(settings.database_url)
    await create_topics(
        client_options(settings), partitions=settings.partitions, replication_factor=settings.replication_factor
    )
