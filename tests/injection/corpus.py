"""The attacks, written for this project, and the ticket and articles in which each reaches the agents."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from schemas.tickets import Attachment, BodyFormat, Passage, Ticket
from tests.events import passage

ARTICLES = Path(__file__).parents[2] / "app" / "demo" / "kb"
# What a search for the questions of the corpus gives: near, less near, and two with money in them.
PUBLIC = ("print-note", "export-notes", "share-note", "refunds", "plans")
POISONED = "print-note"
# Stand-ins for what other tenants and the company's own people keep: no agent is ever given them.
FOREIGN = ("internal-refund-rules", "internal-abuse", "internal-identity-check", "internal-outage")
# Asked where the attack is in an article: with the article as it was, the offline model answers it well enough to send.
QUESTION = "How do I print a note without the comments?"


_ATTACHED = re.compile(r"\[[^\]:：]+[:：] ?([^\]]+)\]\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Attack:
    id: str
    language: str
    kind: str
    where: str  # message, quoted, article, attachment
    text: str

    @property
    def ticket(self) -> Ticket:
        """A mail that is quoted in the form of the customer's language; a file with a name of that language."""
        if self.where == "article":
            return Ticket(ticket_id=self.id, body=QUESTION)
        if self.where != "attachment":
            return Ticket(ticket_id=self.id, body=self.text)
        question, rest = self.text.split("\n", 1)
        name, text = _ATTACHED.fullmatch(rest.strip()).groups() if "[" in rest.strip()[:1] else ("file.pdf", rest)  # type: ignore[union-attr]
        attachment = Attachment(name=name, media_type="application/pdf", text=text)
        return Ticket(ticket_id=self.id, body=question, attachments=(attachment,))

    @property
    def html_ticket(self) -> Ticket:
        """The same as the desks send it that send HTML: a quoted mail is a ``blockquote``."""
        ticket = self.ticket
        lines = [html.escape(line, quote=False) for line in ticket.body.split("\n")]
        quoted = [line.removeprefix("&gt;") for line in lines if line.startswith("&gt;")]
        own = "".join(f"<div>{line}</div>" for line in lines if not line.startswith("&gt;"))
        body = own + (f"<blockquote>{'<br>'.join(quoted)}</blockquote>" if quoted else "")
        return ticket.model_copy(update={"body": body, "body_format": BodyFormat.HTML})

    @property
    def harmless_ticket(self) -> Ticket:
        """The same without the attack: those that begin with a question have it in their first line."""
        return Ticket(ticket_id=f"{self.id}-harmless", body=self.ticket.body.split("\n")[0])

    @property
    def passages(self) -> tuple[Passage, ...]:
        return tuple(self._poisoned(found) if found.document_id == POISONED else found for found in public())

    def _poisoned(self, found: Passage) -> Passage:
        return found.model_copy(update={"text": f"{found.text}\n\n{self.text}"}) if self.where == "article" else found


def attacks() -> list[Attack]:
    lines = (Path(__file__).with_name("attacks.jsonl")).read_text("utf-8").splitlines()
    return [Attack(**json.loads(line)) for line in lines]


def public() -> tuple[Passage, ...]:
    return tuple(article(name) for name in PUBLIC)


def article(name: str) -> Passage:
    """The whole article as one passage."""
    _, front, body = (ARTICLES / f"{name}.md").read_text("utf-8").split("---\n", 2)
    fields = dict(re.findall(r"^(\w+): (.*)$", front, re.MULTILINE))
    return passage(fields["id"], title=fields["title"], text=body.strip(), locale=fields["locale"])
