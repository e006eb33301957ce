"""What a customer wrote, apart from what they quote, sign with and attach.

Only what shows in its form is taken apart, in every language alike: a line with a date that ends in a colon before
lines with ">", the headers of a forwarded mail, a short signature behind "-- ". All else is the customer's own. Nothing
is thrown away but what exceeds a limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

import nh3

from schemas.tickets import Attachment, Author, BodyFormat, Ticket, Turn

# Before any pattern reads it. What is shown is shorter, quotes and signatures taken out.
READ_CHARS_MAX = 20_000
# Parsing takes time that grows faster than the length: half a second for the worst of this one, 1 ms for a usual one.
HTML_CHARS_MAX = 60_000
HTML_DEPTH_MAX = 200
# Enough to see what is asked; a longer mail repeats itself, and every token is paid.
TEXT_CHARS_MAX = 6_000
# Of a long history the beginning, which is the latest, and the end, where people write below what they quote.
QUOTED_CHARS_MAX = 1_500
QUOTED_END_CHARS = 400
SIGNATURE_CHARS_MAX = 400
SIGNATURE_LINES_MAX = 6
# With less of their own, what looks like a quote may be all that the customer has to say.
OWN_LETTERS_MIN = 12
REMEMBERED_MAX = 64


@dataclass(frozen=True)
class Message:
    text: str  # the customer's own words
    quoted: str
    signature: str


def read(ticket: Ticket) -> Message:
    return _read(ticket.body, ticket.body_format)


def shown(ticket: Ticket, *, signed: bool, attached_chars_max: int) -> dict[str, Any]:
    """The variables by which a prompt shows a ticket. What there is not is left out."""
    message = read(ticket)
    text = f"{message.text}\n\n{message.signature}" if signed and message.signature else message.text
    variables: dict[str, Any] = {"subject": ticket.subject, "body": text}
    if message.quoted:
        variables["quoted"] = message.quoted
    if ticket.attachments:
        variables["attachments"] = _listed(ticket.attachments, attached_chars_max)
    return variables


def _listed(attachments: Sequence[Attachment], chars_max: int) -> list[dict[str, str]]:
    """Each by name and type; of their texts the beginnings, the first ones first."""
    listed = []
    for each in attachments:
        fields = {"name": each.name, "type": each.media_type, "text": each.text[:chars_max]}
        chars_max -= len(fields["text"])
        listed.append({**fields, "unreadable": each.unreadable})
    return [{name: text for name, text in fields.items() if text} for fields in listed]


def listed(history: Sequence[Turn]) -> dict[str, Any]:
    """The variable by which a prompt shows what was said before, if anything was."""
    turns = [{"from": "customer" if _is_customers(turn) else "company", "text": turn.text} for turn in history]
    return {"history": turns} if turns else {}


def unanswered(history: Sequence[Turn]) -> tuple[str, ...]:
    """What the customer wrote since the last reply."""
    replies = (at for at, turn in enumerate(history, start=1) if not _is_customers(turn))
    return tuple(turn.text for turn in history[max(replies, default=0) :])


def _is_customers(turn: Turn) -> bool:
    return turn.author is Author.CUSTOMER


def with_subject(subject: str, text: str) -> str:
    """Some desks repeat the subject as the first line of the body."""
    return text if text.startswith(subject) else f"{subject}\n{text}"


def said(variables: Mapping[str, Any]) -> str:
    """All text of what ``shown`` and ``listed`` give, without what the company said."""
    attached = (text for each in variables.get("attachments", ()) for text in each.values())
    before = (each["text"] for each in variables.get("history", ()) if each["from"] == "customer")
    return "\n".join([variables["subject"], variables["body"], variables.get("quoted", ""), *attached, *before])


def texts(ticket: Ticket) -> tuple[str, ...]:
    """All that a model may see of a ticket, for whoever looks for signs in it."""
    message = read(ticket)
    own = (f"{ticket.subject}\n{message.text}", message.quoted, message.signature)
    attached = (f"{each.name}\n{each.media_type}\n{each.text}\n{each.unreadable}" for each in ticket.attachments)
    return tuple(text for text in (*own, *attached) if text)


@lru_cache(REMEMBERED_MAX)
def _read(body: str, body_format: BodyFormat) -> Message:
    text = as_text(body) if body_format is BodyFormat.HTML else body
    return parsed(text)


def parsed(text: str) -> Message:
    lines = text[:READ_CHARS_MAX].splitlines()
    mail, behind = _forwarded(lines)
    own, replied_to = _attributed(mail)
    words, signature = _signed(own)
    quoted = [*replied_to, *behind]
    if not quoted and not signature:
        return Message(text=text[:TEXT_CHARS_MAX], quoted="", signature="")
    if _letters(words) < OWN_LETTERS_MIN:
        return Message(text=text.strip()[:TEXT_CHARS_MAX], quoted="", signature="")
    return Message(
        text=_joined(words)[:TEXT_CHARS_MAX], quoted=_shortened(_joined(quoted)), signature=_joined(signature)
    )


def _shortened(quoted: str) -> str:
    if len(quoted) <= QUOTED_CHARS_MAX:
        return quoted
    cut = " [...] "
    return quoted[: QUOTED_CHARS_MAX - QUOTED_END_CHARS - len(cut)] + cut + quoted[-QUOTED_END_CHARS:]


def _joined(lines: Sequence[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _letters(lines: Sequence[str]) -> int:
    """Letters, those of scripts that say more with each counted as two."""
    return sum(1 + (char > "\u2e80") for line in lines for char in line if char.isalpha())


# --- quotes

_QUOTE = re.compile(r"\s{0,9}>")
# A time of day, or a year.
_DATE = re.compile(r"(?<!\d)\d{1,2}[:.h時시点點]\d{2}(?!\d)|(?<!\d)[12١٢۱۲]\d{3}(?!\d)")
_ATTRIBUTION_CHARS_MAX = 300


def _attributed(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Lines without the quotes that a line such as "On 5 May 2026, Ann wrote:" begins, and these quotes.

    A quote without it may be an error message or an article that the customer asks about: it stays.
    """
    own: list[str] = []
    quoted: list[str] = []
    at = 0
    while at < len(lines):
        start = _quote_start(lines, at)
        if start is None:
            own.append(lines[at])
            at += 1
            continue
        end = start
        while end < len(lines) and (_QUOTE.match(lines[end]) or not lines[end].strip()):
            end += 1
        quoted += lines[at:end]
        own.append("")
        at = end
    return own, quoted


def _quote_start(lines: Sequence[str], at: int) -> int | None:
    """Where the quote begins that the line at ``at``, or it and the next one, announces."""
    if not lines[at].strip() or _QUOTE.match(lines[at]):
        return None
    for count in (1, 2):
        head = " ".join(lines[at : at + count]).strip()
        if head.endswith((":", "：")) and len(head) <= _ATTRIBUTION_CHARS_MAX and _DATE.search(lines[at]):
            start = at + count
            while start < len(lines) and not lines[start].strip():
                start += 1
            if start < len(lines) and _QUOTE.match(lines[start]):
                return start
    return None


# --- forwarded mails, and histories as Outlook writes them

_FROM = {
    "from", "von", "de", "da", "van", "från", "fra", "lähettäjä", "od", "от", "від", "kimden", "από", "feladó", "de la",
    "من", "מאת", "差出人", "送信者", "发件人", "寄件者", "보낸 사람", "보낸사람", "จาก", "từ", "dari", "saatja", "nuo",
}  # fmt: skip
_SUBJECT = {
    "subject", "betreff", "objet", "asunto", "oggetto", "assunto", "onderwerp", "ämne", "emne", "aihe", "předmět",
    "predmet", "temat", "тема", "konu", "θέμα", "tárgy", "subiect", "الموضوع", "נושא", "件名", "主题", "主旨", "제목",
    "เรื่อง", "chủ đề", "subjek", "perihal", "teema", "tema",
}  # fmt: skip
_HEADER = re.compile(r"[\s>*]{0,9}([^\W\d_][^:：*]{0,20}?)\s{0,3}\*?\s?[:：]")
_HEADER_LINES_MAX = 8
_RULE = re.compile(r"\s{0,9}(?:[-_=*]{2,}[^-_=*]{0,60}[-_=*]{2,}|[-_]{10,})\s{0,9}")
# Zendesk's line, which comes back with a reply by mail.
_REPLY_ABOVE = re.compile(r"[\s>]{0,9}##-.{1,200}-##\s{0,9}")


def _forwarded(lines: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What stands before the headers of a mail, and all from there."""
    for at, line in enumerate(lines):
        if _REPLY_ABOVE.fullmatch(line):
            return lines[:at], lines[at:]
        first = _name(line)
        if first not in _FROM and first not in _SUBJECT:
            continue
        names = {_name(each) for each in lines[at : at + _HEADER_LINES_MAX]}
        if names & _FROM and names & _SUBJECT:
            start = at
            while start and (not lines[start - 1].strip() or _RULE.fullmatch(lines[start - 1])):
                start -= 1
            is_ruled = any(above.strip() for above in lines[start:at])
            if first in _FROM or is_ruled:
                return lines[:start], lines[start:]
    return lines, ()


def _name(line: str) -> str:
    match = _HEADER.match(line)
    return match[1].casefold() if match else ""


# --- signatures

_QUESTION_MARKS = "?？؟;՞፧⸮"


def _signed(lines: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """RFC 3676, 4.3. People also write "--" before a second thought or a translation: these are longer, or ask."""
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].rstrip() == "--":
            below = _joined(lines[at + 1 :])
            short = len(below) <= SIGNATURE_CHARS_MAX and below.count("\n") < SIGNATURE_LINES_MAX
            if short and not any(mark in below for mark in _QUESTION_MARKS):
                return lines[:at], lines[at + 1 :]
            return lines, ()
    return lines, ()


# --- HTML

TAG = re.compile(r"<(/?)([a-zA-Z][\w-]{0,30})")
_BLOCKS = frozenset({
    "p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "hr", "section", "article",
    "header", "footer", "dl", "dt", "dd", "blockquote", "address", "center",
})  # fmt: skip
_KEPT = {*_BLOCKS, "br", "img", "a", "td", "th", "tbody", "thead"}
# Often without their ends, which then are no depth; or empty.
_FLAT = frozenset({"p", "li", "br", "img", "hr", "td", "th", "tr", "dt", "dd", "meta", "link", "input", "col", "wbr"})
DROPPED = {"script", "style", "title", "head", "template", "noscript", "textarea", "select", "iframe", "object"}
_SPACES = re.compile(r"\s+")
_HREF_CHARS_MAX = 200


def as_text(html: str) -> str:
    """Lines, quotes marked with ">", links and images' alternative texts as they stand. Too deep a nest, and what holds
    no text, stay as they are.
    """
    html = html[:HTML_CHARS_MAX]
    if too_deep(html):
        return html
    clean = nh3.clean(
        html,
        tags=_KEPT,
        attributes={"a": {"href"}, "img": {"alt"}},
        clean_content_tags=DROPPED,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )
    writer = _Writer()
    writer.feed(clean)
    writer.close()
    return writer.text() or html


def too_deep(html: str) -> bool:
    depth = 0
    for match in TAG.finditer(html):
        if match[2].lower() not in _FLAT:
            depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > HTML_DEPTH_MAX:
            return True
    return False


class _Writer(HTMLParser):
    """Of well-formed HTML, as nh3 gives it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._quotes = 0
        self._links: list[tuple[str, int]] = []

    def text(self) -> str:
        self._end_line()
        return "\n".join(self._lines).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _BLOCKS or tag == "br":
            self._end_line()
        if tag == "blockquote":
            self._quotes += 1
        elif tag == "li":
            self._line.append("- ")
        elif tag in {"td", "th"}:
            self._line.append(" ")
        elif tag == "img" and given.get("alt"):
            self._line.append(f" [{given['alt']}] ")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._line)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._links:
            address, start = self._links.pop()
            address = address.removeprefix("mailto:").removeprefix("tel:")[:_HREF_CHARS_MAX]
            if address and address.rstrip("/") not in "".join(self._line[start:]):
                self._line.append(f" ({address})")
        elif tag in _BLOCKS:
            self._end_line(paragraph=tag in {"p", "blockquote", "table", "ul", "ol"})
        if tag == "blockquote":
            self._quotes -= 1

    def handle_data(self, data: str) -> None:
        self._line.append(data)

    def _end_line(self, *, paragraph: bool = False) -> None:
        mark = "> " * min(self._quotes, 3)
        line = _SPACES.sub(" ", "".join(self._line)).strip()
        self._line.clear()
        self._links = [(address, 0) for address, _ in self._links]
        if line and line != "-":
            self._lines.append(mark + line)
        if paragraph and self._lines and self._lines[-1]:
            self._lines.append("")
