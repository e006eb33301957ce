"""tickets.enriched -> tickets.drafted: a reply in the customer's language that cites the passages.

A draft that cites what was not retrieved or is internal, copies an internal article, or says a number, link or quote
that stands nowhere else, is asked for once more. If that fails too, invalid ids stay out of the citations and cost all
confidence, what is unfounded or internal stays in the draft as a finding, and routing sends it to a person.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agents.contract import Agent, ModelCall
from agents.evidence import taken_inside, unfounded, words
from agents.message import listed, said, shown
from schemas.event import Value
from schemas.tickets import Confidence, Draft, Passage, TicketDrafted, TicketEnriched

ATTACHED_CHARS_MAX = 4_000
# Of what a model made up: enough to know it again, too little to steer by.
SHOWN_MAX = 10
SHOWN_CHARS_MAX = 60


class Reply(Value):
    """What the drafting model answers."""

    reply: str = Field(min_length=1, max_length=8_000, description="plain text in the customer's language")
    citations: Annotated[tuple[str, ...], Field(max_length=10)] = Field(
        default=(), description="ids of the documents that the reply rests on"
    )
    unanswered: Annotated[tuple[str, ...], Field(max_length=10)] = Field(
        default=(), description="questions that the documents don't answer"
    )
    answered: Annotated[tuple[int, ...], Field(max_length=20)] = Field(
        default=(), description="numbers of the listed questions that the reply answers, from 1"
    )
    confidence: Confidence
    model: str = ""


def ask(event: TicketEnriched) -> tuple[ModelCall[Reply], ...]:
    return () if event.superseded else (_call(event, correction=""),)


def follow_up(event: TicketEnriched, reply: Reply | None = None) -> tuple[ModelCall[Reply], ...]:
    if reply is None:
        return ()
    correction = _correction(_invalid(event, reply), _taken_inside(event, reply), _unfounded(event, reply))
    return (_call(event, correction=correction),) if correction else ()


def decide(event: TicketEnriched, reply: Reply | None = None, repaired: Reply | None = None) -> TicketDrafted:
    if reply is None:
        return TicketDrafted.following(event, draft=Draft(body="", confidence=0))
    final = repaired or reply
    invalid = _invalid(event, final)
    draft = Draft(
        body=final.reply,
        citations=tuple(dict.fromkeys(cited for cited in final.citations if cited not in invalid)),
        unanswered=_open(event, final),
        unfounded=_unfounded(event, final),
        internal=_taken_inside(event, final),
        confidence=0.0 if invalid else final.confidence,
        model=final.model,
    )
    return TicketDrafted.following(event, draft=draft)


def _call(event: TicketEnriched, *, correction: str) -> ModelCall[Reply]:
    return ModelCall(
        prompt="draft",
        reply=Reply,
        variables={
            "language": event.verdict.language,
            "category": event.verdict.category,
            "passages": [_passage(passage) for passage in event.passages],
            **_ticket(event),
            "questions": event.verdict.questions,
            "correction": correction,
        },
        max_tokens=500,
        timeout_s=60,
    )


def _passage(passage: Passage) -> dict[str, str]:
    shown = {"id": passage.document_id, "title": passage.title, "heading": passage.heading, "text": passage.text}
    return shown if passage.is_public else {**shown, "audience": passage.audience}


def _ticket(event: TicketEnriched) -> dict[str, Any]:
    return {**shown(event.ticket, signed=True, attached_chars_max=ATTACHED_CHARS_MAX), **listed(event.history)}


def _open(event: TicketEnriched, reply: Reply) -> tuple[str, ...]:
    """What the model names as open, and each question that it does not say it answered."""
    named = {words(question) for question in reply.unanswered}
    missed = (q for number, q in enumerate(event.verdict.questions, start=1) if number not in reply.answered)
    return (*reply.unanswered, *(question for question in missed if words(question) not in named))


def _invalid(event: TicketEnriched, reply: Reply) -> tuple[str, ...]:
    """What it cites and was not found, or found for the company's people only."""
    valid = {passage.document_id for passage in event.passages if passage.is_public}
    return tuple(cited for cited in dict.fromkeys(reply.citations) if cited not in valid)


def _taken_inside(event: TicketEnriched, reply: Reply) -> tuple[str, ...]:
    return taken_inside(reply.reply, event.passages, said(_ticket(event)))


def _unfounded(event: TicketEnriched, reply: Reply) -> tuple[str, ...]:
    return unfounded(reply.reply, event.passages, said(_ticket(event)))


def _correction(invalid: tuple[str, ...], inside: tuple[str, ...], invented: tuple[str, ...]) -> str:
    faults = []
    if invalid:
        faults.append(f"cited {_shown(invalid)}, which is not a public article of the knowledge base")
    if inside:
        faults.append(f"took over {_shown(inside)} from an internal article")
    if invented := tuple(text for text in invented if text not in inside):
        faults.append(f"said {_shown(invented)}, which stands neither in a public article nor in the message")
    return f"Your last reply {', and '.join(faults)}." if faults else ""


def _shown(texts: tuple[str, ...]) -> str:
    return ", ".join(text[:SHOWN_CHARS_MAX] for text in texts[:SHOWN_MAX])


AGENT = Agent(
    name="draft", consumes=TicketEnriched, produces=TicketDrafted, ask=ask, follow_up=follow_up, decide=decide
)
