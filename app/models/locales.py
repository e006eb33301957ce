"""From a language tag to the guideline file that fits it best."""

from __future__ import annotations

import re
from collections.abc import Collection

GENERIC = "und"  # BCP 47's own word for an undetermined language

# Variants and extensions may follow (de-CH-1996, en-US-u-ca-gregory): no file tells them apart.
_TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?(?:[-_][a-z0-9_-]*)?", re.IGNORECASE)
# Other codes for a language, and dialects that are answered in their written standard.
_ALIASES = {
    "no": "nb", "nn": "nb", "iw": "he", "in": "id", "tl": "fil", "mo": "ro", "zsm": "ms", "pes": "fa", "prs": "fa",
    "arb": "ar", "ary": "ar", "arz": "ar", "apc": "ar", "cmn": "zh", "yue": "zh-Hant", "gsw": "de-CH", "sh": "sr",
}  # fmt: skip
_SCRIPT_OF_REGION = {("zh", "TW"): "Hant", ("zh", "HK"): "Hant", ("zh", "MO"): "Hant"}
_SCRIPT = {"zh": "Hans"}


def normalised(tag: str) -> str | None:
    """``tag`` with customary case, without variants and extensions. None: not a language tag."""
    parsed = _parsed(tag)
    return "-".join(part for part in parsed if part) if parsed else None


def candidates(tag: str) -> tuple[str, ...]:
    """Tags whose file fits, the most specific first, then by script, then by language, then the generic one."""
    parsed = _parsed(tag)
    if parsed is None:
        return (GENERIC,)
    language, script, region = parsed
    if alias := _parsed(_ALIASES.get(language, "")):
        language, script, region = alias[0], script or alias[1], region or alias[2]
    script = script or _SCRIPT_OF_REGION.get((language, region)) or _SCRIPT.get(language, "")
    forms = ((language, script, region), (language, "", region), (language, script, ""), (language, "", ""))
    found = ("-".join(part for part in form if part) for form in forms)
    return (*dict.fromkeys(found), GENERIC)


def resolve(tag: str, known: Collection[str]) -> str | None:
    """The best of ``known`` for ``tag``. None: not even the generic one is known."""
    return next((candidate for candidate in candidates(tag) if candidate in known), None)


def _parsed(tag: str) -> tuple[str, str, str] | None:
    """(language, script, region), empty where the tag names none."""
    match = _TAG.fullmatch(tag.strip())
    if match is None:
        return None
    language, script, region = (part or "" for part in match.groups())
    return language.lower(), script.title(), region.upper()
