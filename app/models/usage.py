"""Usage as providers report it, brought to one shape: each token counted once.

Anthropic's own ``input_tokens`` leaves cached and cache-write tokens out; OpenAI-shaped ``prompt_tokens`` includes
the cached ones, and gateways put the cache-write count in one of several places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.usage import Usage


class UnknownUsage(Exception):
    """A usage object in none of the shapes we know: counting it as nothing would hide a cost."""


def normalised(reported: Mapping[str, Any]) -> Usage:
    """Raises UnknownUsage."""
    if "prompt_tokens" in reported:
        return _openai(reported)
    if "input_tokens" in reported:
        return Usage(
            input_tokens=_count(reported, "input_tokens"),
            cached_tokens=_count(reported, "cache_read_input_tokens"),
            cache_write_tokens=_count(reported, "cache_creation_input_tokens"),
            output_tokens=_count(reported, "output_tokens"),
        )
    raise UnknownUsage(f"usage with {', '.join(sorted(reported)) or 'nothing in it'}")


def _openai(reported: Mapping[str, Any]) -> Usage:
    details = reported.get("prompt_tokens_details") or {}
    if not isinstance(details, Mapping):
        raise UnknownUsage(f"prompt_tokens_details is {details!r}")
    cached = _count(details, "cached_tokens") or _count(reported, "cache_read_input_tokens")
    written = (
        _count(reported, "cache_creation_input_tokens")
        or _count(details, "cache_write_tokens")
        or _count(details, "cache_creation_tokens")
    )
    prompt, output = _count(reported, "prompt_tokens"), _count(reported, "completion_tokens")
    beside = max(0, _count(reported, "total_tokens") - prompt - output)  # counted in the total only
    # Some gateways leave cache counts out of prompt_tokens.
    left_out = prompt < cached + written or 0 < beside == cached + written
    if not left_out:
        output += beside  # thinking, which some leave out of completion_tokens and bill as output
    return Usage(
        input_tokens=prompt if left_out else prompt - cached - written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )


def _count(reported: Mapping[str, Any], name: str) -> int:
    value = reported.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UnknownUsage(f"{name} is {value!r}")
    return value
