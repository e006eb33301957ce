"""Prompts from files: composed deterministically, the most stable part first, data apart from instructions.

The system prompt has up to four levels, as many as providers allow cache breakpoints: the task; the built-in tone,
policy and escalation; the locale's; the tenant's own. So all tenants share two cached prefixes, and all tenants that
are written to in one language a third. Data stands in the user message between tags, as JSON with ``<``, ``>`` and
``&`` escaped: nothing in it can close its tag.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import orjson
from pydantic import BaseModel

from agents.contract import ModelCall
from app.models.guidelines import KINDS, Guidelines, TenantGuidelines, built_in
from app.models.locales import resolve
from app.models.reply_schema import reply_schema

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_GUIDELINES = "{{guidelines}}"
_DIGEST_CHARS = 12
# Composed of these variables, in this order, each as one JSON value.
_CUSTOMER_FIELDS = ("subject", "body", "quoted", "attachments", "questions", "history")
_ALWAYS = frozenset({"subject", "body"})
_VARIABLES = frozenset({*_CUSTOMER_FIELDS, "passages", "reply", "language", "category", "correction"})
_ESCAPES = ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e"))


class PromptError(Exception):
    """A prompt file or a call of it is wrong: the message names it."""


@dataclass(frozen=True)
class Prompt:
    name: str
    version: str
    system: str
    user: str
    guided: bool  # guidelines follow the task


@dataclass(frozen=True)
class Level:
    """A part of the system prompt that changes as one. A cache breakpoint stands behind it."""

    name: str
    text: str
    parts: tuple[str, ...]  # what it is made of, in order


@dataclass(frozen=True)
class Rendered:
    messages: tuple[dict[str, Any], ...]
    version: str
    response_format: dict[str, Any] | None


class PromptLibrary:
    def __init__(self, *, cache_control: bool, json_schema: bool, guidelines: Guidelines | None = None) -> None:
        self._cache_control = cache_control
        self._json_schema = json_schema
        self._prompts = {
            file.name.removesuffix(".md"): parse(file.name.removesuffix(".md"), file.read_text("utf-8"))
            for file in resources.files("agents.prompts").iterdir()
            if file.name.endswith(".md")
        }
        self._built_in = built_in()
        self._guidelines = guidelines or Guidelines()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._prompts))

    def render(self, call: ModelCall[Any], *, tenant: str | None = None) -> Rendered:
        """Raises PromptError; PermanentError where the tenant's guidelines cannot be used."""
        prompt = self._prompt(call.prompt)
        if unknown := sorted(call.variables.keys() - _VARIABLES):
            raise PromptError(f"prompt {prompt.name!r} was given {', '.join(unknown)}, which no prompt can show")
        language = str(call.variables.get("language") or "")
        reply: type[BaseModel] = call.reply
        levels = self.levels(call.prompt, tenant=tenant, language=language, reply=reply)
        user = _filled(prompt.name, prompt.user, _data(call.variables)).strip()
        return Rendered(
            messages=({"role": "system", "content": self._content(levels)}, {"role": "user", "content": user}),
            version=f"{prompt.name}/{prompt.version}+{_digest(levels, prompt.user)}",
            response_format=_response_format(reply) if self._json_schema else None,
        )

    def levels(
        self, name: str, *, tenant: str | None, language: str, reply: type[BaseModel] | None = None
    ) -> tuple[Level, ...]:
        """The system prompt. ``reply`` is described in it where no JSON Schema is sent. Raises as ``render`` does."""
        prompt = self._prompt(name)
        task = _filled(name, prompt.system, {})
        if reply is not None and not self._json_schema:
            task += f"\n\n{_described(reply)}"
        levels = [Level("task", task, (f"{name}.md",))]
        if prompt.guided:
            kinds = self._built_in.kinds
            levels.append(Level("guidelines", "\n\n".join(kinds.values()), tuple(f"{kind}.md" for kind in kinds)))
            if tag := resolve(language, self._built_in.locales):
                levels.append(Level("locale", self._built_in.locales[tag], (f"locale/{tag}.md",)))
            levels += self._tenant_level(self._guidelines.of(tenant), language)
        return tuple(levels)

    def _tenant_level(self, own: TenantGuidelines, language: str) -> list[Level]:
        found = [(f"{kind}.md", kind, own.kinds[kind]) for kind in KINDS if kind in own.kinds]
        if tag := resolve(language, own.locales):
            found.append((f"locale/{tag}.md", "language", own.locales[tag]))
        if not found:
            return []
        texts = [self._built_in.tenant, *(f"## {kind.capitalize()}\n\n{text}" for _, kind, text in found)]
        return [Level("tenant", "\n\n".join(texts), tuple(file for file, _, _ in found))]

    def _content(self, levels: Sequence[Level]) -> Any:
        if not self._cache_control:
            return joined(levels)
        # Providers join parts as they are: together they are the same text as without breakpoints.
        return [
            {"type": "text", "text": f"\n\n{level.text}" if i else level.text, "cache_control": {"type": "ephemeral"}}
            for i, level in enumerate(levels)
        ]

    def _prompt(self, name: str) -> Prompt:
        prompt = self._prompts.get(name)
        if prompt is None:
            raise PromptError(f"there is no prompt {name!r} in agents/prompts: there are {', '.join(self.names)}")
        return prompt


def joined(levels: Sequence[Level]) -> str:
    """The system prompt as one text."""
    return "\n\n".join(level.text for level in levels)


def parse(name: str, text: str) -> Prompt:
    """A prompt file: front matter with a version, then ``## system`` and ``## user``. Raises PromptError."""
    match = re.fullmatch(r"---\nversion: (\S+)\n---\n## system\n(.*?)\n## user\n(.*)", text, re.DOTALL)
    if match is None:
        raise PromptError(f"agents/prompts/{name}.md must be front matter with a version, ## system, ## user")
    version, system, user = match.groups()
    if left := re.search(r"\S*(\{\{|\}\}).*", _PLACEHOLDER.sub("", f"{system}\n{user}")):
        raise PromptError(f"agents/prompts/{name}.md: {left.group()!r} is no {{{{placeholder}}}}")
    task = system.strip().removesuffix(_GUIDELINES)
    if _GUIDELINES in task:  # what differs between customers comes behind what does not
        raise PromptError(f"agents/prompts/{name}.md: {_GUIDELINES} must be the last of ## system")
    return Prompt(name, version, task.strip(), user.strip(), guided=task != system.strip())


def data_json(value: Any) -> str:
    """JSON that cannot close a tag."""
    text = orjson.dumps(value)
    for raw, escaped in _ESCAPES:
        text = text.replace(raw, escaped)
    return text.decode()


def _data(variables: Mapping[str, Any]) -> dict[str, str]:
    """The variables as they stand in the user message."""
    known = {
        "language": str(variables.get("language", "")),
        "category": str(variables.get("category", "")),
        "correction": "",
    }
    if correction := variables.get("correction"):
        # It quotes ids that a model made up: one line, without tags.
        known["correction"] = "Correction: " + re.sub(r"[<>\s]+", " ", str(correction))
    if "body" in variables:
        known["customer_message"] = data_json(
            {name: variables.get(name, "") for name in _CUSTOMER_FIELDS if name in _ALWAYS or variables.get(name)}
        )
    if "passages" in variables:
        known["knowledge_base"] = data_json(variables["passages"])
    if "reply" in variables:
        known["reply"] = data_json(variables["reply"])
    return known


def _digest(levels: Sequence[Level], user: str) -> str:
    """Changes with any text that is sent, whoever wrote it; the version in a prompt file is for people."""
    texts = orjson.dumps([user, *(level.text for level in levels)])
    return hashlib.sha256(texts).hexdigest()[:_DIGEST_CHARS]


def _filled(name: str, template: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        try:
            return variables[match.group(1)]
        except KeyError:
            raise PromptError(f"prompt {name!r} asks for {match.group(0)}, which the call does not give") from None

    return _PLACEHOLDER.sub(value, template)


# A schema takes longer to make than all the rest of a prompt. A class of replies for each prompt.
@lru_cache(maxsize=32)
def _response_format(reply: type[BaseModel]) -> dict[str, Any]:
    name = reply.__name__
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": reply_schema(reply)}}


@lru_cache(maxsize=32)
def _described(reply: type[BaseModel]) -> str:
    return f"Answer with the JSON object only, of this JSON Schema:\n{orjson.dumps(reply_schema(reply)).decode()}"
