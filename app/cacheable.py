"""Which prompts providers cache: the shortest length of each model, and for how long.

One table for what is foretold (``deskstream prompt cost``) and for the simulated provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["yes", "no", "unsure"]

CACHE_LIFETIME_S = 300.0


@dataclass(frozen=True)
class Shortest:
    """The shortest prefix that is cached, in tokens. ``measured``: where it was found to be longer than documented."""

    documented: int
    measured: int | None = None

    @property
    def sure(self) -> int:
        return max(self.documented, self.measured or 0)

    def caches(self, tokens: int) -> Verdict:
        if tokens < self.documented:
            return "no"
        return "yes" if tokens >= self.sure else "unsure"

    def __str__(self) -> str:
        return f"{self.documented:,} tokens" + (f" ({self.measured:,} as measured)" if self.measured else "")


# platform.claude.com/docs/en/build-with-claude/prompt-caching, and for Sonnet 4.6 what users measured: no cache at
# 2,038 tokens, a cache at 2,067 (github.com/anthropics/anthropic-sdk-python/issues/1194, BerriAI/litellm-docs/pull/49).
_SHORTEST = {
    "haiku-4-5": Shortest(4_096),
    "sonnet-4-6": Shortest(1_024, measured=2_048),
    "sonnet-4-5": Shortest(1_024),
    "sonnet-5": Shortest(1_024),
    "opus-4-5": Shortest(4_096),
    "opus-4-6": Shortest(4_096),
    "opus-4-7": Shortest(2_048),
    "opus-4-8": Shortest(1_024),
    "opus-5": Shortest(512),
}


def shortest(model: str) -> Shortest | None:
    """By the model's name as providers and gateways write it. None: not known."""
    name = model.lower().replace(".", "-")
    return next((found for part, found in _SHORTEST.items() if part in name), None)
