"""The grounding check by comparison: is each claim of a reply a quote of a passage, or nearly one?

What it cannot see: a claim that turns a passage's meaning round in nearly the same words. Quotes are compared word by
word, so only a claim in other words is exposed to that, and for it the similarity asked for is high.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.offline.embedding import Embedder, Urgency
from app.offline.frames import attribution_pattern, frame_sentences
from app.offline.request import Chat, Source
from app.offline.sentences import is_heading, sentences, stems, words
from app.offline.usage import count_tokens

CLAIMS_MAX = 30
COMPARED_SENTENCES_MAX = 6
SIMILARITY_SUPPORTED = 0.92
QUOTE_WORDS_MIN = 3
CLAIM_CHARS_MAX = 200
CLAIM_CHARS_MIN = 30
JSON_TOKENS_PER_CLAIM = 25

_QUOTES = "“”„«»「」\"'‘’ \u00a0"
# Whatever can be wrong in a single character: numbers, addresses, links.
_EXACT = re.compile(r"https?://[^\s\"'”»)\]]+|www\.[^\s\"'”»)\]]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\d+(?:[.,:/-]\d+)*")
_TRAILING = ".,:;!?"


@dataclass(frozen=True)
class Claim:
    text: str
    supported: bool
    document_id: str | None


async def ground(chat: Chat, embedder: Embedder) -> tuple[Claim, ...]:
    assert chat.reply is not None
    texts = claims_of(chat.reply, chat.sources)
    claims = [await _check(text, chat.sources, embedder) for text in texts[:CLAIMS_MAX]]
    claims.extend(Claim(text, supported=False, document_id=None) for text in texts[CLAIMS_MAX : CLAIMS_MAX + 1])
    return _fitting(claims, chat.max_tokens)


def claims_of(reply: str, sources: Sequence[Source]) -> list[str]:
    """Every sentence but those of the frame. Naming a document that was not given is a claim, too."""
    known = {(source.title, source.id) for source in sources}
    found: list[str] = []
    for line in reply.splitlines():
        attribution = attribution_pattern().fullmatch(line.strip())
        if attribution and tuple(group for group in attribution.groups() if group is not None) in known:
            continue
        found.extend(text for text in sentences(line) if _claims(text))
    return list(dict.fromkeys(found))


def _claims(sentence: str) -> bool:
    return sentence not in frame_sentences() and bool(words(sentence))


async def _check(text: str, sources: Sequence[Source], embedder: Embedder) -> Claim:
    for source in sources:
        if is_quote(text, source.text):
            return Claim(text, supported=True, document_id=source.id)
    pairs = [(source, s) for source in sources for s in compared_sentences(text, source) if exact_parts_occur(text, s)]
    if not pairs:
        return Claim(text, supported=False, document_id=None)
    vectors = await embedder.embed([text.strip(_QUOTES), *(s for _, s in pairs)], "passage", Urgency.QUERY)
    similarities = vectors[1:] @ vectors[0]
    best = int(similarities.argmax())
    supported = float(similarities[best]) >= SIMILARITY_SUPPORTED
    return Claim(text, supported=supported, document_id=pairs[best][0].id if supported else None)


def is_quote(claim: str, passage: str) -> bool:
    """The claim's words stand in the passage in this order, one after another, and its numbers and links exactly."""
    wanted, given = words(claim), words(passage)
    if len(wanted) < QUOTE_WORDS_MIN or not exact_parts_occur(claim, passage):
        return False
    return f" {' '.join(wanted)} " in f" {' '.join(given)} "


def exact_parts_occur(claim: str, passage: str) -> bool:
    """Numbers, links and addresses of the claim all occur in the passage as a whole."""
    return _exact_parts(claim) <= _exact_parts(passage)


def _exact_parts(text: str) -> set[str]:
    return {part.rstrip(_TRAILING).casefold() for part in _EXACT.findall(text)}


def compared_sentences(claim: str, source: Source) -> list[str]:
    """The few sentences of the passage that share most words with the claim; its first ones where none are shared."""
    wanted = stems(claim)
    texts = [text for line in source.text.splitlines() if not is_heading(line) for text in sentences(line)]
    return sorted(texts, key=lambda text: -len(wanted & stems(text)))[:COMPARED_SENTENCES_MAX]


def _fitting(claims: Sequence[Claim], tokens_max: int) -> tuple[Claim, ...]:
    """Claims with their texts cut so that the answer fits; those that are not supported come first if not all fit."""
    for chars in range(CLAIM_CHARS_MAX, CLAIM_CHARS_MIN - 1, -10):
        cut = tuple(Claim(_shortened(c.text, chars), c.supported, c.document_id) for c in claims)
        if _tokens(cut) <= tokens_max:
            return cut
    ordered = sorted(cut, key=lambda claim: claim.supported)
    while len(ordered) > 1 and _tokens(ordered) > tokens_max:
        ordered.pop()
    return tuple(ordered)


def _tokens(claims: Sequence[Claim]) -> int:
    return 10 + sum(JSON_TOKENS_PER_CLAIM + count_tokens(claim.text + (claim.document_id or "")) for claim in claims)


def _shortened(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"
