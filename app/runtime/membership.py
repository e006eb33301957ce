"""Is this consumer still a member of its group's current generation?

The one place that reaches into aiokafka: its public interface cannot send a heartbeat. A producer initialised by a
worker that was frozen past its session would fence the rightful owner, so a heartbeat comes first.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

_HEARTBEAT_S_MAX = 5.0


async def is_current_member(consumer: AIOKafkaConsumer) -> bool:
    coordinator = consumer._coordinator
    if coordinator is None or coordinator.generation <= 0:
        return False
    try:
        async with asyncio.timeout(_HEARTBEAT_S_MAX):
            return bool(await coordinator._do_heartbeat())
    except (KafkaError, TimeoutError, OSError):
        return False
