"""Usage of every known shape, each token counted once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.usage import UnknownUsage, normalised
from schemas.usage import Usage

# As the servers send them, whole.
ANTHROPIC = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 188_086,
    "cache_read_input_tokens": 0,
    "output_tokens": 393,
}
LITELLM = {
    "prompt_tokens": 2_006,
    "completion_tokens": 300,
    "total_tokens": 2_306,
    "prompt_tokens_details": {"cached_tokens": 1_920},
    "completion_tokens_details": {"reasoning_tokens": 0},
    "cache_creation_input_tokens": 0,
}
OPENROUTER = {
    "completion_tokens": 2,
    "completion_tokens_details": {"reasoning_tokens": 0},
    "cost": 0.95,
    "cost_details": {"upstream_inference_cost": 19},
    "prompt_tokens": 194,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
    "total_tokens": 196,
}
# Counts that stand beside prompt_tokens or completion_tokens, not inside: only the total shows it.
CACHE_BESIDE = {
    "prompt_tokens": 100,
    "completion_tokens": 5,
    "total_tokens": 165,
    "prompt_tokens_details": {"cached_tokens": 60},
}
THINKING_BESIDE = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 623}


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (ANTHROPIC, Usage(input_tokens=21, cache_write_tokens=188_086, output_tokens=393)),
        (LITELLM, Usage(input_tokens=86, cached_tokens=1_920, output_tokens=300)),
        (OPENROUTER, Usage(input_tokens=94, cache_write_tokens=100, output_tokens=2)),
        ({"prompt_tokens": 7, "total_tokens": 7}, Usage(input_tokens=7)),
        (CACHE_BESIDE, Usage(input_tokens=100, cached_tokens=60, output_tokens=5)),
        (THINKING_BESIDE, Usage(input_tokens=20, output_tokens=603)),
    ],
    ids=["anthropic", "litellm", "openrouter", "embeddings", "cache_beside_the_prompt", "thinking_beside_the_answer"],
)
def test_a_known_shape_is_counted(reported: dict[str, object], usage: Usage) -> None:
    assert normalised(reported) == usage


@pytest.mark.parametrize(
    "reported",
    [
        {},
        {"tokens": 5},
        {"prompt_tokens": "many"},
        {"prompt_tokens": -1},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": True},
        {"prompt_tokens": 5, "prompt_tokens_details": [1]},
        {"input_tokens": 5, "output_tokens": "few"},
    ],
)
def test_an_unknown_shape_is_an_error_not_a_free_call(reported: dict[str, object]) -> None:
    with pytest.raises(UnknownUsage):
        normalised(reported)


counts = st.integers(0, 10**7)


@given(counts, counts, counts, counts, st.sampled_from(["beside", "cache_write_tokens", "cache_creation_tokens"]))
def test_each_token_of_a_prompt_is_counted_once(fresh: int, cached: int, written: int, output: int, place: str) -> None:
    details: dict[str, object] = {"cached_tokens": cached}
    reported: dict[str, object] = {"prompt_tokens": fresh + cached + written, "completion_tokens": output}
    if place == "beside":
        reported["cache_creation_input_tokens"] = written
    else:
        details[place] = written
    assert normalised({**reported, "prompt_tokens_details": details}) == Usage(
        input_tokens=fresh, cached_tokens=cached, cache_write_tokens=written, output_tokens=output
    )


def test_a_gateway_that_leaves_cached_tokens_out_of_the_prompt_is_recognised_by_the_sum() -> None:
    reported = {"prompt_tokens": 21, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1_000}}
    assert normalised(reported) == Usage(input_tokens=21, cached_tokens=1_000, output_tokens=3)
