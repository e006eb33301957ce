"""Guidelines: composed in a fixed order, a tenant's own behind the built-in ones, with limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agents import draft
from agents.contract import PermanentError
from app.models import guidelines
from app.models.guidelines import (
    FILE_CHARS_MAX,
    KINDS,
    LOCALE_CHARS_MAX,
    TENANT_CHARS_MAX,
    Guidelines,
    TenantGuidelines,
    built_in,
    load,
)
from app.models.prompts import PromptLibrary, Rendered, joined
from tests.events import enriched, verdict

BREAKPOINTS_MAX = 4  # Anthropic's limit for a request
OWN = Guidelines(
    {
        "acme": TenantGuidelines({"tone": "We say thou.", "policy": "No word on Mondays."}, {"de": "Immer du."}),
        "zeta": TenantGuidelines({"tone": "{{language}} stays as it stands."}),
        "torn": TenantGuidelines(wrong="torn/tone.md: too long"),
    }
)


def library(guidelines: Guidelines | None = None, *, cache_control: bool = True) -> PromptLibrary:
    return PromptLibrary(cache_control=cache_control, json_schema=True, guidelines=guidelines)


def rendered(prompts: PromptLibrary, *, tenant: str | None = None, language: str = "de") -> Rendered:
    (call,) = draft.ask(enriched().model_copy(update={"verdict": verdict(language=language)}))
    return prompts.render(call, tenant=tenant)


def system(prompts: PromptLibrary, **of: Any) -> Any:
    return rendered(prompts, **of).messages[0]["content"]


def write(folder: Path, **texts: str) -> Path:
    """Files by name, ``__`` for a slash: acme__tone="..."."""
    for name, text in texts.items():
        file = folder / (name.replace("__", "/") + ".md")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return folder


# -- composition


def test_the_most_stable_comes_first() -> None:
    """Task, tone, policy, escalation, locale, then the tenant's own in the same order."""
    text = joined(library(OWN).levels("draft", tenant="acme", language="de"))
    built = (
        "Task: draft",
        "# Tone",
        "# Policy",
        "# When a person is needed",
        "# German",
        "# Guidelines of this company",
    )
    marks = (*built, "We say thou.", "No word on Mondays.", "Immer du.")
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_every_level_ends_at_a_breakpoint_and_there_are_no_more_than_providers_allow() -> None:
    parts = system(library(OWN), tenant="acme")
    assert len(parts) == BREAKPOINTS_MAX and all(part["cache_control"] == {"type": "ephemeral"} for part in parts)


def test_tenants_share_all_but_their_own_level() -> None:
    acme, zeta, other = (system(library(OWN), tenant=tenant) for tenant in ("acme", "zeta", "other"))
    assert acme[:3] == zeta[:3] == other and acme[3] != zeta[3]


def test_with_and_without_breakpoints_the_model_reads_the_same() -> None:
    parts = system(library(OWN), tenant="acme")
    assert "".join(part["text"] for part in parts) == system(library(OWN, cache_control=False), tenant="acme")


def test_a_tenants_file_follows_the_built_in_one_and_replaces_nothing() -> None:
    text = system(library(OWN, cache_control=False), tenant="acme")
    assert all(built_in().kinds[kind] in text for kind in KINDS) and built_in().locales["de"] in text


def test_a_tenants_own_comes_behind_the_sentence_that_says_how_far_it_goes() -> None:
    text = system(library(OWN, cache_control=False), tenant="acme")
    assert text.index("may ask for more caution") < text.index("We say thou.")


def test_a_tenants_locale_is_shown_for_its_language_only() -> None:
    assert "Immer du." not in system(library(OWN, cache_control=False), tenant="acme", language="fr")


def test_no_tenant_reads_anothers_guidelines() -> None:
    assert "We say thou" not in system(library(OWN, cache_control=False), tenant="zeta")


def test_a_tenants_text_is_no_template() -> None:
    assert "{{language}} stays" in system(library(OWN, cache_control=False), tenant="zeta")


def test_a_tenant_whose_guidelines_cannot_be_used_gets_no_draft_and_is_told_why() -> None:
    with pytest.raises(PermanentError, match=r"torn/tone\.md: too long") as raised:
        rendered(library(OWN), tenant="torn")
    assert raised.value.reason == "bad_guidelines"


def test_a_task_without_guidelines_is_one_level() -> None:
    assert [level.name for level in library(OWN).levels("classify", tenant="torn", language="de")] == ["task"]


def test_a_language_without_a_file_has_the_generic_one() -> None:
    (level,) = [one for one in library().levels("draft", tenant=None, language="xh") if one.name == "locale"]
    assert level.parts == ("locale/und.md",)


# -- the version in the journal


@pytest.mark.parametrize(
    "changed",
    [
        TenantGuidelines({"tone": "We say you."}, {"de": "Immer du."}),
        TenantGuidelines({"tone": "We say thou."}, {"de": "Immer Sie."}),
        TenantGuidelines(),
    ],
    ids=["tone", "locale", "gone"],
)
def test_the_version_changes_when_a_guideline_changes(changed: TenantGuidelines) -> None:
    before = Guidelines({"acme": TenantGuidelines({"tone": "We say thou."}, {"de": "Immer du."})})
    versions = {rendered(library(own), tenant="acme").version for own in (before, Guidelines({"acme": changed}))}
    assert len(versions) == 2


def test_the_version_stays_while_only_the_ticket_differs() -> None:
    event = enriched()
    other = event.model_copy(update={"ticket": event.ticket.model_copy(update={"body": "Another one"})})
    assert len({library().render(draft.ask(one)[0]).version for one in (event, other)}) == 1


# -- a tenant's files


def test_files_are_found_by_tenant_kind_and_tag(tmp_path: Path) -> None:
    write(tmp_path, acme__tone="T\r\n", acme__policy="P", acme__escalation="E", acme__locale__pt_br="L")
    own = load(tmp_path).of("acme")
    assert (own.kinds, own.locales) == ({"tone": "T", "policy": "P", "escalation": "E"}, {"pt-BR": "L"})


def test_without_a_setting_there_are_the_built_in_ones_only() -> None:
    assert load(None) == Guidelines()


def test_a_folder_that_is_not_there_means_built_in_only_and_is_said(tmp_path: Path) -> None:
    found = load(tmp_path / "gone")
    assert not found.tenants and "GUIDELINES_DIR" in found.problems[0] and "gone" in found.problems[0]


def test_a_tenant_without_a_folder_has_the_built_in_ones(tmp_path: Path) -> None:
    assert load(write(tmp_path, acme__tone="T")).of("other") == TenantGuidelines()


def test_an_empty_file_is_as_none(tmp_path: Path) -> None:
    assert load(write(tmp_path, acme__tone=" \n", acme__locale__de="\n")).of("acme") == TenantGuidelines()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"acme__tone": "x" * (FILE_CHARS_MAX + 1)}, f"tone.md: over {FILE_CHARS_MAX:,} characters"),
        ({"acme__tone": "界" * (FILE_CHARS_MAX * 2)}, "tone.md"),
        ({"acme__locale__de": "x" * (LOCALE_CHARS_MAX + 1)}, f"de.md: over {LOCALE_CHARS_MAX:,} characters"),
        ({"acme__locale__pt-BR": "x", "acme__locale__pt_br": "y"}, "another file for pt-BR"),
        (
            {f"acme__{kind}": "x" * FILE_CHARS_MAX for kind in KINDS},
            f"{FILE_CHARS_MAX * 3:,} characters together, at most {TENANT_CHARS_MAX:,}",
        ),
    ],
    ids=["kind", "bytes", "locale", "twice", "together"],
)
def test_what_is_over_a_limit_is_named(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(PermanentError) as raised:
        load(write(tmp_path, **files)).of("acme")
    assert words in str(raised.value)


def test_more_locales_than_the_limit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guidelines, "LOCALES_MAX", 1)
    with pytest.raises(PermanentError, match="more than 1 locales"):
        load(write(tmp_path, acme__locale__de="a", acme__locale__fr="b")).of("acme")


def test_tenants_beyond_the_limit_are_not_taken_for_tenants_without_guidelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guidelines, "TENANTS_MAX", 1)
    found = load(write(tmp_path, acme__tone="T", zeta__tone="T"))
    assert found.of("acme").kinds == {"tone": "T"}
    with pytest.raises(PermanentError, match="more than 1 tenants"):
        found.of("zeta")


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    write(tmp_path, acme__tone="T")
    (tmp_path / "acme" / "policy.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PermanentError, match=r"policy\.md: not UTF-8"):
        load(tmp_path).of("acme")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, acme__tone="T")
    (tmp_path / "acme").chmod(0)
    try:
        with pytest.raises(PermanentError, match="acme"):
            load(tmp_path).of("acme")
    finally:
        (tmp_path / "acme").chmod(0o700)


def test_one_tenants_mistake_is_not_anothers(tmp_path: Path) -> None:
    found = load(write(tmp_path, acme__tone="x" * (FILE_CHARS_MAX + 1), zeta__tone="T"))
    assert found.of("zeta").kinds == {"tone": "T"} and len(found.problems) == 1


@pytest.mark.parametrize("name", ["acme__polcy", "acme__locale__a_german_one", "Acme__tone", "readme"])
def test_what_nobody_reads_is_said(tmp_path: Path, name: str) -> None:
    """A policy with a typing error in its file's name would else be missed by nobody."""
    (problem,) = load(write(tmp_path, **{name: "T"})).problems
    assert "reads it" in problem or "read by nobody" in problem


def test_a_folder_as_kubernetes_mounts_it_is_read(tmp_path: Path) -> None:
    """Files are links into a folder whose name begins with two dots."""
    write(tmp_path / "acme", **{"..2026__tone": "T"})
    (tmp_path / "acme" / "tone.md").symlink_to(Path("..2026") / "tone.md")
    found = load(tmp_path)
    assert (found.of("acme").kinds, found.problems) == ({"tone": "T"}, ())
