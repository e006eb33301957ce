"""The topics on a broker: made, and checked against what the pipeline needs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from agents.contract import PermanentError
from schemas.topics import TOPICS

# A value of 1 MiB with its headers, and a batch of them.
_MESSAGE_BYTES_MAX = 5 * 1024 * 1024
_APPEAR_S_MAX = 15.0
_RETENTION = "retention.ms"
_DAY_MS = 86_400_000


async def create_topics(
    client: Mapping[str, Any], *, partitions: int, replication_factor: int, names: tuple[str, ...] = TOPICS
) -> list[str]:
    """Make the topics that are missing; gives their names. Raises KafkaError, or TimeoutError if they don't appear."""
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        missing = sorted(set(names) - set(await admin.list_topics()))
        if missing:
            await _create(admin, missing, partitions=partitions, replication_factor=replication_factor)
        async with asyncio.timeout(_APPEAR_S_MAX):
            # The broker tells nobody when a topic has its leaders: it is asked again.
            while set(names) - set((await _partitions(admin, names)).keys()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await admin.close()
    return missing


async def partition_counts(client: Mapping[str, Any], names: tuple[str, ...] = TOPICS) -> dict[str, int]:
    """Partitions of each of ``names`` that exists."""
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        return await _partitions(admin, names)
    finally:
        await admin.close()


async def check_topics(client: Mapping[str, Any]) -> dict[str, int]:
    """Partitions of each topic. Raises PermanentError where one is missing, or where their numbers differ: outputs go
    to the partition number of their input. Raises KafkaError."""
    counts = await partition_counts(client)
    if missing := [name for name in TOPICS if name not in counts]:
        raise PermanentError("no_topic", f"there is no topic {', '.join(missing)}: run `deskstream topics create`")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise PermanentError(
            "partitions_differ",
            f"topics differ in partitions ({listed}): drain, then give all of them the same number",
        )
    return counts


async def days_kept_max(client: Mapping[str, Any], names: tuple[str, ...] = TOPICS) -> float:
    """For how many days the topic that keeps its records longest does; infinite for one that never deletes."""
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, {_RETENTION: None}) for name in names]
        answers = await admin.describe_configs(asked)
    finally:
        await admin.close()
    kept_ms = [
        int(value)
        for answer in answers
        for _error, _message, _kind, _name, configs in answer.resources
        for key, value, *_ in configs
        if key == _RETENTION
    ]
    return math.inf if any(ms < 0 for ms in kept_ms) else max(kept_ms, default=0) / _DAY_MS


async def topic_partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """For a consumer without a group. Its public call knows only topics that were asked for before."""
    await consumer._client._wait_on_metadata(topic)
    return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]


async def _create(admin: AIOKafkaAdminClient, names: list[str], *, partitions: int, replication_factor: int) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                name=name,
                num_partitions=partitions,
                replication_factor=replication_factor,
                topic_configs={"max.message.bytes": str(_MESSAGE_BYTES_MAX)},
            )
            for name in names
        ]
    )
    for name, code, *text in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"topic {name}: {text[0] if text else ''}")


async def _partitions(admin: AIOKafkaAdminClient, names: tuple[str, ...]) -> dict[str, int]:
    described = await admin.describe_topics(list(names))
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["error_code"] == 0 and all(p["leader"] >= 0 for p in topic["partitions"])
    }
