"""Usage of every known shape, each token counted once."""

import pytest

from app.models.usage import UnknownUsage, normalised
from schemas.usage import Usage

ANTHROPIC = {"input_tokens": 21, "cache_creation_input_tokens": 188_086, "cache_read_input_tokens": 0,
             "output_tokens": 393}  # fmt: skip
LITELLM = {"prompt_tokens": 2_006, "completion_tokens": 300, "total_tokens": 2_306,
           "prompt_tokens_details": {"cached_tokens": 1_920}, "cache_creation_input_tokens": 0}  # fmt: skip
OPENROUTER = {"prompt_tokens": 194, "completion_tokens": 2, "cost": 0.95,
              "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100}}  # fmt: skip


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (ANTHROPIC, Usage(input_tokens=21, cache_write_tokens=188_086, output_tokens=393)),
        (LITELLM, Usage(input_tokens=86, cached_tokens=1_920, output_tokens=300)),
        (OPENROUTER, Usage(input_tokens=94, cache_write_tokens=100, output_tokens=2)),
        ({"prompt_tokens": 7, "total_tokens": 7}, Usage(input_tokens=7)),
    ],
    ids=["anthropic", "litellm", "openrouter", "embeddings"],
)
def test_a_known_shape_is_counted(reported: dict[str, object], usage: Usage) -> None:
    assert normalised(reported) == usage


@pytest.mark.parametrize("reported", [{}, {"tokens": 5}, {"prompt_tokens": "many"}, {"prompt_tokens": -1}])
def test_an_unknown_shape_is_an_error_not_a_free_call(reported: dict[str, object]) -> None:
    with pytest.raises(UnknownUsage):
        normalised(reported)
