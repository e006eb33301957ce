"""What comes in at the door: a function of the seed. Bursts, hot conversations, and some tickets delivered twice."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

TENANTS = ("acme", "globex", "initech")
SOURCE = "/verify"
BURST_MAX = 40
HOT_SHARE = 0.5  # of the tickets fall into a tenth of the conversations
TWICE_SHARE = 0.04


@dataclass(frozen=True)
class Delivery:
    tenant: str
    line: bytes


def bursts(seed: int, tickets: int, conversations: int) -> Iterator[tuple[Delivery, ...]]:
    """Every ticket once, in bursts of 1 to 40; some come again with the burst after theirs, as webhooks do."""
    rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    number = 0
    before: tuple[Delivery, ...] = ()
    while number < tickets:
        size = min(rng.randint(1, BURST_MAX), tickets - number)
        fresh = tuple(_ticket(rng, number + place, conversations) for place in range(size))
        again = tuple(delivery for delivery in before if rng.random() < TWICE_SHARE)
        yield fresh + again
        number, before = number + size, fresh


def _ticket(rng: random.Random, number: int, conversations: int) -> Delivery:
    hot = rng.random() < HOT_SHARE
    conversation = rng.randrange(max(1, conversations // 10) if hot else conversations)
    row = {
        "ticket_id": f"t{number}",
        "conversation": f"c{conversation}",
        "subject": f"Question {number}",
        "text": f"How do I print page {number}?",  # unique, so that each question to a model is
    }
    return Delivery(TENANTS[conversation % len(TENANTS)], json.dumps(row).encode())
