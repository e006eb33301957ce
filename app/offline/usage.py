"""Tokens and simulated prompt caching."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from math import ceil
from typing import Any

from app.cacheable import CACHE_LIFETIME_S, shortest

CACHED_PREFIXES_MAX = 1_000
CACHED_TOKENS_MIN_DEFAULT = 1_024  # of a model that nobody looked up


def count_tokens(text: str) -> int:
    """An estimate, the same on every machine: a quarter of a token for each byte of UTF-8,
    so 4 characters a token in ASCII, 2 in Cyrillic or Arabic, 1.3 in Chinese, Japanese or Devanagari."""
    return ceil(len(text.encode("utf-8", "replace")) / 4)


def cached_tokens_min(model: str) -> int:
    """As measured where that is more than what is documented: savings are not promised in doubt."""
    known = shortest(model)
    return known.sure if known else CACHED_TOKENS_MIN_DEFAULT


class PromptCache:
    """Which system prompts a provider would still have cached.

    ``always_warm``: once seen, a prefix stays cached, so that two runs give the same numbers whatever the clock says.
    ``tokens_min``: the shortest prefix that is cached, by model; shorter ones silently are not.
    """

    def __init__(
        self,
        *,
        always_warm: bool = False,
        clock_s: Callable[[], float] = time.monotonic,
        tokens_min: Callable[[str], int] = cached_tokens_min,
    ) -> None:
        self._tokens_min = tokens_min
        self._always_warm = always_warm
        self._clock_s = clock_s
        self._used_s: OrderedDict[bytes, float] = OrderedDict()

    def look_up(self, model: str, prefix: str) -> tuple[int, int]:
        """(tokens read from the cache, tokens written to it); the prefix is cached from now on."""
        tokens = count_tokens(prefix)
        if tokens < self._tokens_min(model):
            return 0, 0
        key = blake2b(f"{model}\n{prefix}".encode("utf-8", "replace"), digest_size=16).digest()
        now_s = self._clock_s()
        last_s = self._used_s.get(key)
        self._used_s[key] = now_s
        self._used_s.move_to_end(key)
        if len(self._used_s) > CACHED_PREFIXES_MAX:
            self._used_s.popitem(last=False)
        warm = last_s is not None and (self._always_warm or now_s - last_s <= CACHE_LIFETIME_S)
        return (tokens, 0) if warm else (0, tokens)


def chat_usage(*, prompt: str, completion_tokens: int, cached: int, written: int) -> dict[str, Any]:
    """The OpenAI-shaped usage of gateways: ``prompt_tokens`` includes cached and cache-write tokens."""
    prompt_tokens = max(count_tokens(prompt), cached + written)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached},
        "cache_creation_input_tokens": written,
    }
