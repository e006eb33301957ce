"""Prompts from files: rendered deterministically, the most stable part first, data apart from instructions.

Data stands in the user message between tags, as JSON with ``<``, ``>`` and ``&`` escaped: nothing in it can close
its tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson

from agents.contract import ModelCall
from app.models.reply_schema import reply_schema

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_GUIDELINES = ("tone", "policy", "escalation")  # the least likely to change first
# Composed of these variables, in this order, each as one JSON value.
_CUSTOMER_FIELDS = ("subject", "body")
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


@dataclass(frozen=True)
class Rendered:
    messages: tuple[dict[str, Any], ...]
    version: str
    response_format: dict[str, Any] | None


class PromptLibrary:
    def __init__(self, *, cache_control: bool, json_schema: bool) -> None:
        self._cache_control = cache_control
        self._json_schema = json_schema
        root = resources.files("agents.prompts")
        self._prompts = {
            file.name.removesuffix(".md"): parse(file.name.removesuffix(".md"), file.read_text("utf-8"))
            for file in root.iterdir()
            if file.name.endswith(".md")
        }
        guidelines = root / "guidelines"
        self._guidelines = "\n\n".join((guidelines / f"{name}.md").read_text("utf-8").strip() for name in _GUIDELINES)
        self._locales = {
            file.name.removesuffix(".md"): file.read_text("utf-8").strip()
            for file in (guidelines / "locale").iterdir()
            if file.name.endswith(".md")
        }

    def render(self, call: ModelCall[Any]) -> Rendered:
        """Raises PromptError."""
        prompt = self._prompts.get(call.prompt)
        if prompt is None:
            raise PromptError(f"there is no prompt {call.prompt!r} in agents/prompts")
        if unknown := sorted(call.variables.keys() - _VARIABLES):
            raise PromptError(f"prompt {prompt.name!r} was given {', '.join(unknown)}, which no prompt can show")
        variables = _data(call.variables)
        stable = _filled(prompt.name, prompt.system, {"guidelines": self._guidelines})
        if not self._json_schema:
            schema = orjson.dumps(reply_schema(call.reply)).decode()
            stable += f"\n\nAnswer with the JSON object only, of this JSON Schema:\n{schema}"
        locale = self._locale(call.variables.get("language")) if "{{guidelines}}" in prompt.system else ""
        user = _filled(prompt.name, prompt.user, variables).strip()
        return Rendered(
            messages=({"role": "system", "content": self._system(stable, locale)}, {"role": "user", "content": user}),
            version=f"{prompt.name}/{prompt.version}",
            response_format=_response_format(call) if self._json_schema else None,
        )

    def _system(self, stable: str, locale: str) -> Any:
        """One breakpoint behind what all customers share, and one behind what those of a language share."""
        if not self._cache_control:
            return f"{stable}\n\n{locale}".strip()
        parts = [text for text in (stable, locale) if text]
        return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in parts]

    def _locale(self, language: object) -> str:
        return self._locales.get(str(language or "").split("-")[0].lower(), "")


def parse(name: str, text: str) -> Prompt:
    """A prompt file: front matter with a version, then ``## system`` and ``## user``. Raises PromptError."""
    match = re.fullmatch(r"---\nversion: (\S+)\n---\n## system\n(.*?)\n## user\n(.*)", text, re.DOTALL)
    if match is None:
        raise PromptError(f"agents/prompts/{name}.md must be front matter with a version, ## system, ## user")
    version, system, user = match.groups()
    if left := re.search(r"\S*(\{\{|\}\}).*", _PLACEHOLDER.sub("", f"{system}\n{user}")):
        raise PromptError(f"agents/prompts/{name}.md: {left.group()!r} is no {{{{placeholder}}}}")
    return Prompt(name, version, system.strip(), user.strip())


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
        known["customer_message"] = data_json({name: variables.get(name, "") for name in _CUSTOMER_FIELDS})
    if "passages" in variables:
        known["knowledge_base"] = data_json(variables["passages"])
    if "reply" in variables:
        known["reply"] = data_json(variables["reply"])
    return known


def _filled(name: str, template: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        try:
            return variables[match.group(1)]
        except KeyError:
            raise PromptError(f"prompt {name!r} asks for {match.group(0)}, which the call does not give") from None

    return _PLACEHOLDER.sub(value, template)


def _response_format(call: ModelCall[Any]) -> dict[str, Any]:
    name = call.reply.__name__
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": reply_schema(call.reply)}}
