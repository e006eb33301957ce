"""Chunks follow an article's headings and fit an embedding model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.knowledge.chunk import CHARS_MAX, TOKENS_MAX, chunks, tokens_estimate

SENTENCES = " ".join(f"This is sentence number {n} of a rather long section." for n in range(60))


def test_a_short_article_is_one_chunk() -> None:
    [only] = chunks("Restart the router.")
    assert (only.heading, only.text) == ("", "Restart the router.")


def test_an_empty_article_has_no_chunk() -> None:
    assert chunks(" \n\n") == ()


def test_headings_form_a_path() -> None:
    long = "x " * 300
    found = chunks(f"# Sync\n{long}\n## Phone\n{long}\n### Android\n{long}\n## Desktop\n{long}")
    assert [chunk.heading for chunk in found] == ["Sync", "Sync > Phone", "Sync > Phone > Android", "Sync > Desktop"]


def test_short_sections_share_a_chunk_that_names_them() -> None:
    [only] = chunks("## One\nFirst.\n\n## Two\nSecond.")
    assert only.heading == "One"
    assert only.text == "First.\n\nTwo\nSecond."


def test_a_heading_in_a_code_block_is_text() -> None:
    [only] = chunks("```\n# a comment\n```")
    assert "# a comment" in only.text


def test_a_table_of_contents_is_dropped() -> None:
    [only] = chunks("Intro.\n\n## Table of Contents\n\n- 1 How\n- 1.1 Where\n\n## How\nLike this.")
    assert only.text == "Intro.\n\nHow\nLike this."


def test_a_table_of_contents_is_known_by_its_entries_in_any_language() -> None:
    assert chunks("## Inhalt\n- 1 Wie\n- 1.1 Wo\n- 2 Wann") == ()
    assert chunks("## Sommaire\n- [Un](#un)\n- [Deux](#deux)\n- [Trois](#trois)") == ()


def test_a_list_of_steps_is_kept() -> None:
    [only] = chunks("## How\n1. Open it.\n2. Close it.\n3. Open it again.")
    assert "Open it again." in only.text


def test_a_long_section_is_cut_between_sentences() -> None:
    found = chunks(SENTENCES)
    assert len(found) > 1
    assert all(chunk.text.endswith(".") and chunk.text.startswith("This") for chunk in found)


def test_a_cut_section_overlaps() -> None:
    first, second, *_ = chunks(SENTENCES)
    last_sentence = first.text[first.text.rindex("This") :]
    assert second.text.startswith(last_sentence) or f"{last_sentence} This" in second.text


def test_nothing_of_a_section_is_lost() -> None:
    text = " ".join(chunk.text for chunk in chunks(SENTENCES))
    assert all(f"number {n} of" in text for n in range(60))


def test_text_without_spaces_is_cut_too() -> None:
    found = chunks("設定を開いて同期を選びます。" * 200)
    assert len(found) > 1
    assert all(tokens_estimate(chunk.text) <= TOKENS_MAX for chunk in found)


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=300),
            st.sampled_from(
                ["# Title\n", "\n## Part\n", "\n\n", "- 1.1 Entry\n", "a" * 3_000, "。" * 700, "word. " * 300]
            ),
        ),
        max_size=12,
    ).map("".join)
)
def test_every_chunk_fits_and_holds_text(text: str) -> None:
    for chunk in chunks(text):
        assert chunk.text.strip()
        assert len(chunk.text) <= CHARS_MAX
        assert tokens_estimate(chunk.text) <= TOKENS_MAX


def test_a_blank_between_overlong_words_makes_no_chunk_of_its_own() -> None:
    found = chunks("a" * 3_000 + "\r" + "a" * 3_000)
    assert all(chunk.text.strip() for chunk in found)
