"""The JSON Schema by which a reply is asked for: every field must be given, and no other.

A default would be a way out: a verdict without ``stakes`` must not read as "nothing at stake". Limits of length and
number are left out: strict modes of providers refuse them, grammars made of them get huge, and the answer is validated
against the class anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# We fill these in: a model does not know its own name.
_FILLED_IN = frozenset({"model"})
_LEFT_OUT = frozenset({"title", "default", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"})


def asked_fields(reply: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name in reply.model_fields if name not in _FILLED_IN)


def reply_schema(reply: type[BaseModel]) -> dict[str, Any]:
    schema = reply.model_json_schema()
    schema["properties"] = {name: schema["properties"][name] for name in asked_fields(reply)}
    return _strict(schema)


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # nothing may stand beside it
    strict = {keyword: _strict_part(keyword, value) for keyword, value in schema.items() if keyword not in _LEFT_OUT}
    if "properties" in strict:
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict


def _strict_part(keyword: str, value: Any) -> Any:
    match keyword, value:
        case "properties" | "$defs", Mapping():  # names of the reply's own, not keywords
            return {name: _strict(part) for name, part in value.items()}
        case "items", Mapping():
            return _strict(value)
        case "anyOf", list():
            return [_strict(part) for part in value]
    return value
