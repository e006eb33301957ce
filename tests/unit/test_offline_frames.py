"""The frames of replies."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from app.offline.frames import attribution_pattern, frame_for, frames


def test_there_are_more_than_thirty_languages() -> None:
    assert len(frames()) >= 30


@pytest.mark.parametrize("language", sorted(frames()))
def test_a_frame_is_whole(language: str) -> None:
    frame = frames()[language]
    assert all(asdict(frame).values())
    assert frame.according.count("{title}") == frame.according.count("[{id}]") == 1


@pytest.mark.parametrize("language", sorted(frames()))
def test_an_attribution_is_recognised_with_its_title_and_id(language: str) -> None:
    match = attribution_pattern().fullmatch(frame_for(language).attribution("A title", "kb-1"))
    assert match is not None
    assert [group for group in match.groups() if group is not None] == ["A title", "kb-1"]


@pytest.mark.parametrize(
    ("code", "like"),
    [("de-AT", "de"), ("no", "nb"), ("zh-Hant", "zh-TW"), ("zh-Hant-HK", "zh-TW"), ("pt-BR", "pt-BR"), ("xx", "en")],
)
def test_a_language_without_a_frame_takes_the_nearest(code: str, like: str) -> None:
    assert frame_for(code) == frames()[like]


def test_no_language_at_all_is_english() -> None:
    assert frame_for(None) == frames()["en"]
