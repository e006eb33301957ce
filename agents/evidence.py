"""What a reply says that neither the passages nor the ticket say: quotes, numbers, prices, dates, links, addresses.
And what it takes from internal passages, which vouch for nothing that a customer is told.

Comparison only: nothing here understands a sentence. In doubt a thing counts as not found, and a person looks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from agents.figures import Figure, Reading, Table, figures, plain
from schemas.tickets import Passage

FINDINGS_MAX = 20
FINDING_CHARS_MAX = 200
# Longer than any chunk of an article; what a passage says beyond it counts as not said.
SOURCE_CHARS_MAX = 20_000
QUOTE_CHARS_MAX = 2_000
# So many letters in a row are copied: some six words, or ten Chinese characters. Shorter runs recur by chance.
COPIED_LETTERS_MIN = 30
# Passages come again with the next ticket; what one says is worked out once. About 10 kB each.
REMEMBERED_MAX = 256


def unfounded(reply: str, passages: Sequence[Passage], message: str) -> tuple[str, ...]:
    """What occurs only in the reply, or beside it in internal passages, as it is written there.

    ``message`` is the ticket as far as the model saw it.
    """
    sources = [*_texts(_shown(passages)), message[:SOURCE_CHARS_MAX]]
    return _reported(_foreign(_without_citations(reply, passages), sources))


def unvouched(reply: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """Links, addresses and prices that no public passage has. That a customer wrote them makes them none of ours."""
    sources = _texts(_shown(passages))
    claimed = _without_citations(reply, passages)
    prices = _foreign_figures(claimed, sources, only_prices=True)
    return _reported([*_foreign_links(claimed, sources), *prices])


def taken_inside(reply: str, passages: Sequence[Passage], message: str) -> tuple[str, ...]:
    """What a reply takes from internal passages: their ids, runs of COPIED_LETTERS_MIN letters, and the quotes, links
    and figures that neither a public passage nor ``message`` has. Retold in other words, nothing is recognised.
    """
    inside = [passage for passage in passages if not passage.is_public]
    if not inside:
        return ()
    shown, secret = _texts(_shown(passages)), _texts(inside)
    claimed = _without_citations(reply, passages)
    ids = [passage.document_id for passage in inside if f"[{passage.document_id}]" in reply]
    vouched_inside = set(_foreign(claimed, [*shown, message[:SOURCE_CHARS_MAX]])) - set(_foreign(claimed, secret))
    return _reported([*ids, *_copied(claimed, secret, shown), *sorted(vouched_inside)])


def _shown(passages: Iterable[Passage]) -> list[Passage]:
    return [passage for passage in passages if passage.is_public]


def _foreign(claimed: str, sources: Sequence[str]) -> list[str]:
    return [*_foreign_quotes(claimed, sources), *_foreign_links(claimed, sources), *_foreign_figures(claimed, sources)]


def _texts(passages: Iterable[Passage]) -> list[str]:
    texts = (text for p in passages for text in (p.title, p.heading, p.text, p.url or ""))
    return [text[:SOURCE_CHARS_MAX] for text in texts if text]


def _reported(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text[:FINDING_CHARS_MAX] for text in found))[:FINDINGS_MAX]


def _without_citations(reply: str, passages: Iterable[Passage]) -> str:
    for document_id in {passage.document_id for passage in passages}:
        reply = reply.replace(f"[{document_id}]", " ")
    return reply


# --- quotes

_CLOSERS = {
    "“": "”“", "„": "“”", "”": "”", "«": "»", "»": "«»", "‹": "›", "「": "」", "『": "』", "《": "》", "‘": "’",
    '"': '"',
}  # fmt: skip
_HEBREW = re.compile(r"[\u05d0-\u05ea]")


def quotes(text: str) -> Iterator[str]:
    """What stands between quotation marks on one line, without them."""
    at = 0
    while at < len(text):
        closers = _CLOSERS.get(text[at])
        if closers and not _is_inside_word(text, at) and (end := _end_of_quote(text, at, closers)):
            yield text[at + 1 : end]
            at = end
        at += 1


def _end_of_quote(text: str, at: int, closers: str) -> int | None:
    line_end = text.find("\n", at)
    limit = min(at + QUOTE_CHARS_MAX, len(text) if line_end < 0 else line_end)
    ends = [end for closer in closers if (end := text.find(closer, at + 1, limit)) > 0]
    return min(ends, default=None)


def _is_inside_word(text: str, at: int) -> bool:
    """Hebrew writes abbreviations with a mark before the last letter."""
    return 0 < at < len(text) - 1 and bool(_HEBREW.match(text[at - 1]) and _HEBREW.match(text[at + 1]))


_WORD_CHARS = Table(lambda char: char if unicodedata.category(char)[0] in "LMN" else " ")


def words(text: str) -> str:
    """Letters, digits and marks in one case, single spaces between and around."""
    return f" {' '.join(plain(text).casefold().translate(_WORD_CHARS).split())} "


@lru_cache(REMEMBERED_MAX)
def _words_of_source(text: str) -> str:
    return words(text)


# Written without spaces, or with endings grown on: a quote may begin and end anywhere.
_UNSPACED_LETTERS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_UNSPACED = re.compile(f"[{_UNSPACED_LETTERS}]")


def _foreign_quotes(reply: str, sources: Sequence[str]) -> Iterator[str]:
    for quote in quotes(reply):
        wanted = words(quote)
        if _UNSPACED.search(wanted):
            wanted = wanted.strip()
        if wanted.strip() and not any(wanted in _words_of_source(source) for source in sources):
            yield quote.strip()


# --- runs of text

# Where words are not told apart by spaces, each letter is a piece.
_PIECE = re.compile(f"[{_UNSPACED_LETTERS}]|[^ {_UNSPACED_LETTERS}]+")


def _copied(reply: str, secret: Sequence[str], shown: Sequence[str]) -> list[str]:
    """The runs of ``reply`` that stand in ``secret`` and not in ``shown``, in lower case."""
    text = words(reply)
    runs = _runs(text)
    found = {run for source in secret for run in _runs(words(source)).keys() & runs.keys()}
    found -= {run for source in shown for run in _runs(words(source))}
    return [text[start:end] for start, end in _joined(sorted(span for run in found for span in runs[run]))]


def _runs(text: str) -> dict[str, list[tuple[int, int]]]:
    """Each shortest run of pieces with letters enough, without spaces, and where it stands."""
    pieces = [(match[0], match.start(), match.end(), _letters(match[0])) for match in _PIECE.finditer(text)]
    runs: dict[str, list[tuple[int, int]]] = {}
    end, letters = 0, 0
    for at, (_, start, _, own) in enumerate(pieces):
        while letters < COPIED_LETTERS_MIN and end < len(pieces):
            letters += pieces[end][3]
            end += 1
        if letters < COPIED_LETTERS_MIN:
            break
        runs.setdefault("".join(piece for piece, *_ in pieces[at:end]), []).append((start, pieces[end - 1][2]))
        letters -= own
    return runs


def _letters(piece: str) -> int:
    """As many as it would have in an alphabet, roughly."""
    return sum(3 if "\u3400" <= c <= "\u9fff" else 2 if c >= "\u3040" else 1 for c in piece)


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


# --- links and addresses

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_LINK = re.compile(
    r"[a-z][a-z0-9+.-]{1,20}://[^\s<>\"“”„«»「」『』|\\^`{}]+"
    r"|(?<!\w)(?:mailto|tel|sms|data|javascript):(?=[\w+/])[^\s<>\"“”„«»「」『』]+"
    r"|(?<![\w@.-])(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w@])(?:[:/?#][^\s<>\"“”„«»「」『』|\\^`{}]*)?",
    re.IGNORECASE,
)
_TRACKING = re.compile(r"(?:utm_\w+|gclid|fbclid|msclkid|yclid|dclid|mc_[ce]id|igshid|_ga|_gl)=[^&#]*&?", re.IGNORECASE)
_TRAILING = ".,;:!?'\"»”’*_。、，；：！？…"


def _foreign_links(reply: str, sources: Sequence[str]) -> Iterator[str]:
    for text, form in _links(reply):
        forms = {form} if form.isascii() else {form, _ascii_beginning(form)}
        if all(forms.isdisjoint(_links_of_source(source)) for source in sources):
            yield text


@lru_cache(REMEMBERED_MAX)
def _links_of_source(text: str) -> frozenset[str]:
    forms = {form for _, form in _links(text)}
    # Text without spaces runs on behind a link.
    return frozenset(forms | {_ascii_beginning(form) for form in forms})


_VISIBLE = Table(lambda char: "" if unicodedata.category(char) == "Cf" else char)


def _links(text: str) -> Iterator[tuple[str, str]]:
    """Each link and e-mail address as written and as compared."""
    clean = text.translate(_VISIBLE)
    for match in _EMAIL.finditer(clean):
        yield match[0], match[0].casefold().rstrip(".")
    for match in _LINK.finditer(_EMAIL.sub(" ", clean)):
        written = _trimmed(match[0])
        yield written, _compared(written)


def _trimmed(link: str) -> str:
    while link and (link[-1] in _TRAILING or any(link[-1] == c and link.count(c) > link.count(o) for o, c in _PAIRS)):
        link = link[:-1]
    return link


_PAIRS = (("(", ")"), ("[", "]"), ("（", "）"))


def _compared(link: str) -> str:
    """Without what does not change where it leads: http or https, case of the host, tracking, a slash at the end."""
    rest = re.sub(r"^https?://", "", link, flags=re.IGNORECASE)
    host, cut, path = _cut(rest)
    path, hash_, fragment = path.partition("#")
    path = _TRACKING.sub("", path).rstrip("?&")
    return f"{host.casefold()}{(cut + path).rstrip('/')}{hash_}{fragment}"


def _cut(link: str) -> tuple[str, str, str]:
    match = re.search(r"[/?#]", link)
    return (link[: match.start()], match[0], link[match.end() :]) if match else (link, "", "")


def _ascii_beginning(link: str) -> str:
    return re.match(r"[\x21-\x7e]*", link)[0].rstrip(_TRAILING + "/")  # type: ignore[index]  # matches always


# --- numbers, prices, dates


def _foreign_figures(reply: str, sources: Sequence[str], *, only_prices: bool = False) -> Iterator[str]:
    for figure in _claims(_without_links(plain(reply))):
        if only_prices and not figure.is_price:
            continue
        if all(figure.readings.isdisjoint(_readings_of_source(source)) for source in sources):
            yield figure.text


@lru_cache(REMEMBERED_MAX)
def _readings_of_source(text: str) -> frozenset[Reading]:
    return frozenset(r for figure in figures(_without_links(plain(text))) for r in figure.readings | figure.parts)


def _without_links(text: str) -> str:
    return _LINK.sub(" ", _EMAIL.sub(" ", text))


_ITEM = re.compile(
    r"(?:^|(?<=[.!?:;,]))[ \t]*[-*•(]?(?P<n>\d{1,2})(?:[.)\ufe0f\u20e3、]+|: )(?=\s|[^\W\d_])", re.MULTILINE
)
_STEP = (
    r"(?:step|schritt|étape|etape|paso|passo|passaggio|шаг|крок|krok|stap|steg|trin|vaihe|ad[ıi]m|步骤|步驟|第|단계|ステップ|手順"
    r"|خطوة|الخطوة|שלב|चरण|ধাপ|ขั้นตอนที่|ขั้นที่|bước|langkah|lépés|pasul|βήμα|стъпка|korak|žingsni\w*|solis|samm|pas|مرحله)"
)
_MENTION = re.compile(
    rf"{_STEP} ?(?P<n>\d{{1,2}})(?!\d|[.,:]\d)|(?<!\d)(?P<m>\d{{1,2}}) ?(?:단계|步|\. lépés)", re.IGNORECASE
)


def _claims(text: str) -> Iterator[Figure]:
    """The figures of a reply but the numbers of its own list, which count from 1."""
    items, last = set(), 0
    marks = sorted([*_ITEM.finditer(text), *_MENTION.finditer(text)], key=lambda match: match.start())
    for match in marks:
        name = match.lastgroup or "n"
        if int(match[name]) == last + 1 or (match.re is _MENTION and 1 <= int(match[name]) <= last):
            items.add(match.start(name))
            last = max(last, int(match[name]))
    for at in items:
        end = at
        while end < len(text) and text[end].isdecimal():
            end += 1
        text = text[:at] + "\n" * (end - at) + text[end:]
    yield from figures(text)
