"""The ticket topics: each event carries what the stages before it found."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints

from schemas.event import Event, Value

Confidence = Annotated[float, Field(ge=0, le=1)]
Language = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{4})?(-[A-Za-z]{2}|-[0-9]{3})?$", max_length=12)
]


class Category(StrEnum):
    HOW_TO = "how_to"
    TECHNICAL_PROBLEM = "technical_problem"
    ACCOUNT = "account"
    BILLING = "billing"
    REFUND = "refund"
    CANCELLATION = "cancellation"
    COMPLAINT = "complaint"
    SECURITY = "security"
    LEGAL = "legal"
    FEATURE_REQUEST = "feature_request"
    SPAM = "spam"
    OTHER = "other"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Sentiment(StrEnum):
    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class Stake(StrEnum):
    """What makes a ticket high-stakes: a person answers it."""

    REFUND = "refund"
    ACCOUNT_CHANGE = "account_change"
    COMPLAINT = "complaint"
    LEGAL = "legal"
    SECURITY = "security"
    CANCELLATION = "cancellation"


class Route(StrEnum):
    SEND = "send"
    REVIEW = "review"
    ESCALATE = "escalate"
    SUPERSEDED = "superseded"


class BodyFormat(StrEnum):
    TEXT = "text"
    HTML = "html"


class Attachment(Value):
    """A file that came with a message: what it is called, and its text where there is one to read."""

    name: str = Field(min_length=1, max_length=200)
    media_type: str = Field(default="application/octet-stream", max_length=100)
    size_bytes: int | None = Field(default=None, ge=0)
    text: str = Field(default="", max_length=4_000, description="its beginning, or what an image shows")
    unreadable: str = Field(default="", max_length=200, description="why there is no text where one was looked for")


class Ticket(Value):
    """A customer's message as the help desk gave it."""

    ticket_id: str = Field(min_length=1, max_length=200)
    subject: str = Field(default="", max_length=1_000)
    body: str = Field(max_length=200_000)
    body_format: BodyFormat = BodyFormat.TEXT
    attachments: tuple[Attachment, ...] = Field(default=(), max_length=20)
    locale: str | None = Field(default=None, max_length=35, description="what the desk says; a hint only")
    channel: str = Field(default="unknown", max_length=50)
    created_at: AwareDatetime | None = None


QUESTIONS_MAX = 5
QUESTION_CHARS_MAX = 200


def _first_questions(given: Any) -> Any:
    """A model that lists more, or longer ones, is not asked again for that."""
    if not isinstance(given, (list, tuple)):
        return given
    texts = (each[:QUESTION_CHARS_MAX].strip() if isinstance(each, str) else each for each in given)
    return tuple(each for each in texts if each != "")[:QUESTIONS_MAX]


class Author(StrEnum):
    CUSTOMER = "customer"
    AGENT = "agent"  # a person of the company
    DESKSTREAM = "deskstream"


TURNS_MAX = 8
TURN_CHARS_MAX = 1_500


class Turn(Value):
    """One message of a conversation, or its beginning."""

    author: Author
    text: str = Field(max_length=TURN_CHARS_MAX)


class Thread(Value):
    """A conversation around one message of it, as it stands now."""

    before: tuple[Turn, ...] = Field(default=(), max_length=TURNS_MAX, description="the latest, oldest first")
    replies: int = Field(default=0, ge=0, description="that the customer had before this message, by whomever")
    newer: str = Field(default="", max_length=200, description="what came after this message; empty where nothing did")


class Verdict(Value):
    """What a ticket is about, as the classifier sees it."""

    category: Category
    priority: Priority
    sentiment: Sentiment
    language: Language
    stakes: tuple[Stake, ...] = Field(default=(), max_length=6)
    wants_human: bool = Field(default=False, description="the customer asks for a person")
    complains_again: bool = Field(default=False, description="of what they complained of before")
    goes_in_circles: bool = Field(default=False, description="answers repeat, or lead back to where they came from")
    questions: Annotated[tuple[str, ...], BeforeValidator(_first_questions), Field(max_length=QUESTIONS_MAX)] = Field(
        default=(), description="what is asked, where it is more than one thing, in the customer's language"
    )
    confidence: Confidence

    @property
    def high_stakes(self) -> bool:
        return bool(self.stakes)

    @property
    def needs_person(self) -> bool:
        """Whatever else is true of the ticket."""
        return self.high_stakes or self.wants_human or self.complains_again or self.goes_in_circles


class Audience(StrEnum):
    PUBLIC = "public"
    INTERNAL = "internal"  # for the company's people: never cited to a customer, nor quoted in what is sent


class Passage(Value):
    """A piece of the tenant's knowledge base, as it was when it was found."""

    document_id: str = Field(min_length=1, max_length=200)
    version: int = Field(ge=1)
    chunk: int = Field(ge=0)
    title: str
    heading: str = Field(default="", description="path of headings, ' > ' between them")
    text: str
    url: str | None = None
    locale: str | None = None
    audience: Audience = Audience.PUBLIC
    score: float = Field(description="of all signs of a search together, at most 1")
    similarity: float | None = Field(default=None, description="cosine, -1 to 1; None where only words matched")

    @property
    def is_public(self) -> bool:
        return self.audience is Audience.PUBLIC


class Draft(Value):
    """A reply in the customer's language that cites documents by id."""

    body: str
    citations: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = Field(default=(), description="questions that the passages don't answer")
    unfounded: Annotated[tuple[str, ...], Field(max_length=20)] = Field(
        default=(), description="what the reply says and neither the public passages nor the ticket do"
    )
    internal: Annotated[tuple[str, ...], Field(max_length=20)] = Field(
        default=(), description="what the reply takes from internal passages: to be taken out before it is sent"
    )
    confidence: Confidence
    model: str = Field(default="", description="the model that wrote it; offline-* is not a language model")


class Claim(Value):
    text: str
    supported: bool
    document_id: str | None = None


class Grounding(Value):
    """Is each claim of the draft supported by the passages it cites?"""

    claims: tuple[Claim, ...] = ()

    @property
    def supported(self) -> bool:
        return bool(self.claims) and all(claim.supported for claim in self.claims)


class JointConfidence(Value):
    """Retrieval, classification, draft and grounding in one figure."""

    raw: Confidence
    calibrated: Confidence | None = Field(
        default=None, description="share of like drafts that reviewers approved; None: uncalibrated"
    )


History = Annotated[tuple[Turn, ...], Field(max_length=TURNS_MAX, description="before this message, oldest first")]
Superseded = Annotated[
    str, Field(max_length=200, description="why nobody needs this draft any more; nothing was asked of a model then")
]


class TicketReceived(Event):
    TOPIC: ClassVar[str] = "tickets.raw"
    ticket: Ticket


class TicketClassified(Event):
    TOPIC: ClassVar[str] = "tickets.classified"
    ticket: Ticket
    verdict: Verdict
    history: History = ()


class TicketEnriched(Event):
    TOPIC: ClassVar[str] = "tickets.enriched"
    ticket: Ticket
    verdict: Verdict
    passages: tuple[Passage, ...] = Field(max_length=20)
    history: History = ()
    superseded: Superseded = ""


class TicketDrafted(Event):
    TOPIC: ClassVar[str] = "tickets.drafted"
    ticket: Ticket
    verdict: Verdict
    passages: tuple[Passage, ...] = Field(max_length=20)
    draft: Draft
    history: History = ()
    superseded: Superseded = ""


REASONS_MAX = 20


class TicketRouted(Event):
    TOPIC: ClassVar[str] = "tickets.routed"
    ticket: Ticket
    verdict: Verdict
    passages: tuple[Passage, ...] = Field(max_length=20)
    draft: Draft
    grounding: Grounding | None = Field(description="None where no check was asked for")
    confidence: JointConfidence | None = Field(default=None, description="None from before it was joined")
    route: Route
    reasons: tuple[str, ...] = Field(min_length=1, max_length=REASONS_MAX)
    history: History = ()
    replies: int = Field(default=0, ge=0, description="that the customer had before this message")
