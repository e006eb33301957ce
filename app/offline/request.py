"""What a chat request asks for: its task, and the tagged parts of its user message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.tickets import QUESTIONS_MAX, TURNS_MAX, Language

Task = Literal["classify", "draft", "ground", "rerank"]

TASK_OF_SCHEMA: Mapping[str, Task] = {
    "Verdict": "classify", "Reply": "draft", "Grounding": "ground", "Order": "rerank",
}  # fmt: skip
MAX_TOKENS_DEFAULT = 1_000
MAX_TOKENS_MAX = 64_000
MESSAGES_MAX = 50
PASSAGES_MAX = 20
ATTACHMENTS_MAX = 20
# As much as enrichment puts into its search: the same text is then embedded once for both.
QUERY_CHARS_MAX = 2_000

_TASK_LINE = re.compile(r"^Task: (classify|draft|ground|rerank)\s*$", re.MULTILINE)
_PARTS = ("customer_message", "knowledge_base", "reply")
# A "<" inside is written as \u003c, so the first closing tag is the real one.
_PART = {tag: re.compile(rf"<{tag}>(.*?)</{tag}>", re.DOTALL) for tag in _PARTS}
_LANGUAGE_LINE = re.compile(r"^Language: *(\S+)\s*$", re.MULTILINE)
_LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)


class BadRequest(ValueError):
    """The request cannot be understood; the caller answers 400 with this message."""


@dataclass(frozen=True)
class Customer:
    subject: str
    body: str
    quoted: str = ""
    attached: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # what they wrote and were answered, oldest first
    since: tuple[str, ...] = ()  # what they wrote since the last answer

    @property
    def text(self) -> str:
        """All that has no answer yet, the customer's own words first, without a subject that the body repeats."""
        text = self.body if self.body.startswith(self.subject) else f"{self.subject}\n{self.body}"
        return "\n".join([text, *self.since, *filter(None, (self.quoted, *self.attached))])[:QUERY_CHARS_MAX]


@dataclass(frozen=True)
class Source:
    """A passage of the knowledge base."""

    id: str
    title: str
    heading: str
    text: str


@dataclass(frozen=True)
class Chat:
    task: Task
    model: str
    max_tokens: int
    customer: Customer | None
    sources: tuple[Source, ...]
    reply: str | None
    language: str | None
    system_prefix: str  # up to the last cache_control breakpoint; empty without one
    prompt: str  # all of the messages' text, for counting


def parse_chat(body: Any) -> Chat:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if body.get("stream"):
        raise BadRequest("stream is not supported; leave it out")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model must be a non-empty string")
    messages = _messages(body.get("messages"))
    system = "\n".join(text for role, text, _ in messages if role in {"system", "developer"})
    user = "\n".join(text for role, text, _ in messages if role == "user")
    task = _task(body.get("response_format"), system)
    parts = {tag: _part(tag, user) for tag in _PARTS}
    chat = Chat(
        task=task,
        model=model,
        max_tokens=_max_tokens(body),
        customer=_customer(parts["customer_message"]),
        sources=_sources(parts["knowledge_base"]),
        reply=_reply(parts["reply"]),
        language=_language(user),
        system_prefix="".join(prefix for role, _, prefix in messages if role in {"system", "developer"}),
        prompt="\n".join(text for _, text, _ in messages),
    )
    if task in {"classify", "draft"} and chat.customer is None:
        raise BadRequest(f"the task {task} needs a <customer_message> with JSON in a user message")
    if task == "ground" and chat.reply is None:
        raise BadRequest("the task ground needs a <reply> with a JSON string in a user message")
    return chat


def _messages(value: Any) -> list[tuple[str, str, str]]:
    """Role, text, and the text up to the last cache_control breakpoint of each message."""
    if not isinstance(value, list) or not 0 < len(value) <= MESSAGES_MAX:
        raise BadRequest(f"messages must be a list of 1 to {MESSAGES_MAX} messages")
    found = []
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest("each message must be an object with a role")
        found.append((message["role"], *_content(message.get("content"))))
    return found


def _content(content: Any) -> tuple[str, str]:
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        raise BadRequest("content must be a string or a list of text parts")
    text, prefix = "", ""
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise BadRequest('content parts must be {"type": "text", "text": "..."}')
        text += part["text"]
        if part.get("cache_control"):
            prefix = text
    return text, prefix


def _task(response_format: Any, system: str) -> Task:
    if isinstance(response_format, dict) and response_format.get("type") == "json_schema":
        schema = response_format.get("json_schema")
        name = schema.get("name") if isinstance(schema, dict) else None
        if isinstance(name, str) and name in TASK_OF_SCHEMA:
            return TASK_OF_SCHEMA[name]
        raise BadRequest(f"the offline model knows the schemas {', '.join(TASK_OF_SCHEMA)}, not {name!r}")
    if line := _TASK_LINE.search(system):
        return line[1]  # type: ignore[return-value]  # the pattern allows the four names only
    raise BadRequest(
        "the offline model only classifies, drafts, grounds and reranks: send response_format json_schema with the "
        "name Verdict, Reply, Grounding or Order, or a line 'Task: classify|draft|ground|rerank' in the system prompt"
    )


def _max_tokens(body: Mapping[str, Any]) -> int:
    value = body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS_DEFAULT
    if not isinstance(value, int) or not 0 < value <= MAX_TOKENS_MAX:
        raise BadRequest(f"max_tokens must be a whole number from 1 to {MAX_TOKENS_MAX}")
    return value


def _part(tag: str, user: str) -> Any:
    if (match := _PART[tag].search(user)) is None:
        return None
    try:
        return orjson.loads(match[1])
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"<{tag}> must hold JSON: {error}") from error


def _customer(value: Any) -> Customer | None:
    if value is None:
        return None
    subject, body, quoted = _texts(value, ("subject", "body", "quoted"), "<customer_message>")
    attachments = _list(value, "attachments", ATTACHMENTS_MAX)
    attached = [_texts(row, ("name", "text"), "<customer_message> attachments") for row in attachments]
    questions = _list(value, "questions", QUESTIONS_MAX)
    if not all(isinstance(question, str) for question in questions):
        raise BadRequest("<customer_message>: questions must be strings")
    attached_texts = tuple("\n".join(filter(None, each)) for each in attached)
    return Customer(subject, body, quoted, attached_texts, tuple(questions), *_history(value))


def _history(value: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The customer's earlier messages: those that were answered, and those that were not."""
    turns = [_texts(row, ("from", "text"), "<customer_message> history") for row in _list(value, "history", TURNS_MAX)]
    replies = (at for at, (author, _) in enumerate(turns, start=1) if author != "customer")
    answered = max(replies, default=0)
    own = [(at, text) for at, (author, text) in enumerate(turns, start=1) if author == "customer"]
    return tuple(text for at, text in own if at < answered), tuple(text for at, text in own if at > answered)


def _list(value: Mapping[str, Any], name: str, most: int) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list) or len(found) > most:
        raise BadRequest(f"<customer_message>: {name} must be an array of at most {most}")
    return found


def _sources(value: Any) -> tuple[Source, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > PASSAGES_MAX:
        raise BadRequest(f"<knowledge_base> must be an array of at most {PASSAGES_MAX} passages")
    rows = [_texts(row, ("id", "title", "heading", "text", "audience"), "<knowledge_base>") for row in value]
    # All that the offline model can do with an article is to quote it, and an internal one is not to be quoted.
    return tuple(Source(*texts) for *texts, audience in rows if audience != "internal")


def _texts(value: Any, names: Sequence[str], where: str) -> list[str]:
    if not isinstance(value, dict):
        raise BadRequest(f"{where} must hold objects with {', '.join(names)}")
    texts = [value.get(name) or "" for name in names]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest(f"{where}: {', '.join(names)} must be strings")
    return texts


def _reply(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadRequest("<reply> must hold a JSON string")
    return value


def _language(user: str) -> str | None:
    outside = user
    for pattern in _PART.values():
        outside = pattern.sub("", outside)
    if (line := _LANGUAGE_LINE.search(outside)) is None:
        return None
    try:
        return _LANGUAGE.validate_python(line[1])
    except ValidationError:
        return None
