"""The guidelines for drafting: the built-in ones, and a tenant's own behind them.

    <GUIDELINES_DIR>/<tenant>/tone.md, policy.md, escalation.md, locale/<language tag>.md

A tenant's file follows the built-in one of its kind and never replaces it: what all tenants share stays one cached
prefix, and no tenant can lose the rule against promises by writing about greetings. Files are read once, when a
process starts. A tenant whose files cannot be used gets no drafts until they are mended, rather than drafts without
its policy; the other tenants do not notice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agents.contract import PermanentError
from app.models.locales import normalised
from schemas.event import TenantId

KINDS = ("tone", "policy", "escalation")  # the least likely to change first

# Every character is paid for with every draft; the built-in ones have about 1,000 each.
FILE_CHARS_MAX = 6_000
LOCALE_CHARS_MAX = 3_000
TENANT_CHARS_MAX = 15_000  # the kinds together with the longest locale
LOCALES_MAX = 200  # of one tenant
TENANTS_MAX = 10_000
_BYTES_A_CHAR_MAX = 4
_TENANT = TypeAdapter(TenantId)


@dataclass(frozen=True)
class BuiltIn:
    kinds: Mapping[str, str]
    locales: Mapping[str, str]
    tenant: str  # what stands before a tenant's own: how far they go


@dataclass(frozen=True)
class TenantGuidelines:
    """Texts by kind and by language tag. ``wrong``: why they cannot be used."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    locales: Mapping[str, str] = field(default_factory=dict)
    wrong: str = ""


@dataclass(frozen=True)
class Guidelines:
    """``problems``: what was found wrong, a line each; not all of it keeps a tenant from being answered."""

    tenants: Mapping[str, TenantGuidelines] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def of(self, tenant: str | None) -> TenantGuidelines:
        """Raises PermanentError where the tenant's files cannot be used."""
        found = self.tenants.get(tenant or "", _NONE)
        if found.wrong:
            raise PermanentError("bad_guidelines", found.wrong)
        return found


_NONE = TenantGuidelines()


def built_in() -> BuiltIn:
    folder = resources.files("agents.prompts") / "guidelines"
    return BuiltIn(
        kinds={kind: (folder / f"{kind}.md").read_text("utf-8").strip() for kind in KINDS},
        locales={
            file.name.removesuffix(".md"): file.read_text("utf-8").strip()
            for file in (folder / "locale").iterdir()
            if file.name.endswith(".md")
        },
        tenant=(folder / "tenant.md").read_text("utf-8").strip(),
    )


def load(folder: Path | None) -> Guidelines:
    """All tenants' guidelines. Raises OSError only where ``folder`` itself is there and cannot be read."""
    if folder is None:
        return Guidelines()
    if not folder.is_dir():
        return Guidelines(problems=(f"GUIDELINES_DIR {folder} is no folder: every tenant has the built-in ones only",))
    tenants: dict[str, TenantGuidelines] = {}
    problems: list[str] = []
    for entry in _entries(folder):
        if not entry.is_dir() or not _is_tenant(entry.name):
            problems.append(f"{entry} is no tenant's folder: nobody reads it")
            continue
        if len(tenants) >= TENANTS_MAX:
            tenants[entry.name] = TenantGuidelines(wrong=f"{entry}: {folder} has more than {TENANTS_MAX:,} tenants")
        else:
            tenants[entry.name] = _tenant(entry, problems)
        if wrong := tenants[entry.name].wrong:
            problems.append(wrong)
    return Guidelines(tenants, tuple(problems))


class _Unusable(Exception):
    """The message names the file and what is wrong with it."""


def _tenant(folder: Path, problems: list[str]) -> TenantGuidelines:
    try:
        return _read_tenant(folder, problems)
    except _Unusable as error:
        return TenantGuidelines(wrong=str(error))
    except OSError as error:
        return TenantGuidelines(wrong=f"{error.filename or folder}: {error.strerror or error}")


def _read_tenant(folder: Path, problems: list[str]) -> TenantGuidelines:
    names = [f"{kind}.md" for kind in KINDS]
    for entry in _entries(folder):
        if entry.name not in {*names, "locale"}:
            problems.append(f"{entry} is read by nobody: a tenant's files are {', '.join(names)}, locale/TAG.md")
    kinds = {kind: text for kind in KINDS if (text := _text(folder / f"{kind}.md", FILE_CHARS_MAX))}
    locales = _locales(folder / "locale", problems)
    chars = sum(map(len, kinds.values())) + max(map(len, locales.values()), default=0)
    if chars > TENANT_CHARS_MAX:
        raise _Unusable(f"{folder}: {chars:,} characters together, at most {TENANT_CHARS_MAX:,}: shorten them")
    return TenantGuidelines(kinds, locales)


def _locales(folder: Path, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in _entries(folder) if folder.is_dir() else ():
        tag = normalised(file.stem)
        if file.suffix != ".md" or tag is None:
            problems.append(
                f"{file} is read by nobody: it is not named after a language tag, as de.md and pt-BR.md are"
            )
            continue
        if tag in found:
            raise _Unusable(f"{file}: there is another file for {tag}")
        if len(found) == LOCALES_MAX:
            raise _Unusable(f"{folder}: more than {LOCALES_MAX} locales")
        if text := _text(file, LOCALE_CHARS_MAX):
            found[tag] = text
    return found


def _text(file: Path, chars_max: int) -> str:
    """Empty where there is none."""
    try:
        with file.open("rb") as opened:
            data = opened.read(chars_max * _BYTES_A_CHAR_MAX + 1)
        text = re.sub(r"\r\n?", "\n", data.decode("utf-8-sig")).strip()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        # Cut off in the middle of a character, or not text at all.
        raise _Unusable(f"{file}: not UTF-8, or far over {chars_max:,} characters") from None
    if len(text) > chars_max:
        raise _Unusable(f"{file}: over {chars_max:,} characters: shorten it, every draft pays for it")
    return text


def _entries(folder: Path) -> Iterator[Path]:
    """In order. What begins with a dot belongs to editors, and to how Kubernetes mounts a folder."""
    return iter(sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")))


def _is_tenant(name: str) -> bool:
    try:
        _TENANT.validate_python(name)
    except ValidationError:
        return False
    return True
