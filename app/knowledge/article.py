"""An article as its author keeps it, and what stands in its place where there is none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

DOCUMENT_CHARS_MAX = 1_000_000
ID_CHARS_MAX = 200
TITLE_CHARS_MAX = 1_000

# Other names under which tables and JSON Lines have a field, the usual name first.
ALIASES = {
    "document_id": ("document_id", "doc_id", "id", "article_id"),
    "title": ("title", "question", "subject"),
    "text": ("text", "body", "content", "answer"),
    "summary": ("summary",),
    "url": ("url", "html_url", "link"),
    "locale": ("locale", "language", "lang"),
    "audience": ("audience", "visibility"),
}

# PostgreSQL's text holds no NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class Document(BaseModel):
    """An article as its author keeps it."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    document_id: Text = Field(validation_alias=AliasChoices("document_id", "doc_id", "id"), min_length=1,
                              max_length=ID_CHARS_MAX)  # fmt: skip
    title: Text = Field(min_length=1, max_length=TITLE_CHARS_MAX)
    text: Text = Field(max_length=DOCUMENT_CHARS_MAX)
    summary: Text = Field(default="", max_length=10_000)
    url: Text | None = Field(default=None, max_length=2_000)
    locale: Text | None = Field(default=None, max_length=35)
    audience: Literal["public", "internal"] = "public"

    @field_validator("url", "locale", mode="after")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @property
    def body(self) -> str:
        """Summary and text: customers ask in a summary's words more often than in an article's."""
        return self.text if not self.summary or self.summary in self.text else f"{self.summary}\n\n{self.text}"

    def digest(self, *ways: object) -> bytes:
        """Changes when the article does, or the ways in which it is cut and embedded."""
        return hashlib.sha256(json.dumps([self.model_dump(), *ways], sort_keys=True).encode()).digest()


@dataclass(frozen=True)
class Unreadable:
    """A file, a line or a page that holds no article, though it should."""

    place: str
    reason: str


@dataclass(frozen=True)
class Skipped(Unreadable):
    """Left out as its author wants it: a draft, a page that asks not to be indexed. No error."""


Found: TypeAlias = Document | Unreadable


def document(place: str, fields: object) -> Found:
    """``fields`` as a document, or what is wrong with them."""
    try:
        return Document.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "it"
        return Unreadable(place, f"{name}: {first['msg']}")


def named_alike(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` under our names: each the first of its aliases that is there, in upper or lower case."""
    given = {name.strip().lower(): value for name, value in fields.items()}
    found = {}
    for name, aliases in ALIASES.items():
        if here := [alias for alias in aliases if alias in given]:
            found[name] = given[here[0]]
    return found
