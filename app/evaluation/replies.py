"""Citations and language: is what is said to a customer founded, public, and asked in their language?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from app.evaluation.figures import Figure
from app.evaluation.tickets import Ended
from schemas.tickets import Ticket, TicketClassified, TicketRouted

CITATIONS_RIGHT = 1.0
LANGUAGE_RIGHT = 0.98
LETTERS_MIN = 20
# Shorter sentences stand in many articles.
_SENTENCE_CHARS_MIN = 60
_EXAMPLES_MAX = 5

# The desk's locale says another language than the message is written in, by eye: sumo-1332020 (fi), sumo-1247590
# (fr-FR), sumo-1585169 (ja-JP) and sumo-1424330 (pl) are in English throughout.
WRONG_LABELS = {"sumo-1332020": "en", "sumo-1247590": "en", "sumo-1585169": "en", "sumo-1424330": "en"}


def citations(ended: Sequence[Ended], *, public: Collection[str], internal: Mapping[str, str], model: str) -> Figure:
    """The share of tickets whose reply cites only public articles that were found for it, and quotes no other: an
    internal one may be found too, to inform a person.

    ``public``: ids; ``internal``: texts by id.
    """
    secrets = _sentences(internal.values())
    faults = [fault for one in ended if (fault := _fault(one, public, secrets))]
    drafted = [one.event for one in ended if isinstance(one.event, TicketRouted)]
    cited = sum(len(event.draft.citations) for event in drafted)
    note = f"{cited:,} citations; {len(internal)} internal articles stood beside the public ones"
    if faults:
        note += f"; faults: {'; '.join(faults[:_EXAMPLES_MAX])}"
    return Figure(
        "citations_valid", 1 - len(faults) / len(ended), len(ended), model, at_least=CITATIONS_RIGHT, note=note,
        details={
            "with a citation": sum(bool(event.draft.citations) for event in drafted) / len(ended),
            "an internal article found": sum(any(not p.is_public for p in event.passages) for event in drafted)
            / len(ended),
            "a claim found nowhere": sum(bool(event.draft.unfounded) for event in drafted) / len(ended),
            **{f"routed: {route}": n / len(ended) for route, n in Counter(e.route for e in drafted).items()},
        },
    )  # fmt: skip


def _fault(one: Ended, public: Collection[str], secrets: Collection[str]) -> str | None:
    ticket = one.received.ticket.ticket_id
    if not isinstance(one.event, TicketRouted):
        return f"{ticket} had no reply: {one.failure}"
    found = {passage.document_id for passage in one.event.passages}
    if foreign := [cited for cited in one.event.draft.citations if cited not in found or cited not in public]:
        return f"{ticket} cites {', '.join(foreign)}"
    if mistaken := {passage.document_id for passage in one.event.passages if passage.is_public} - set(public):
        return f"{ticket} was shown {', '.join(sorted(mistaken))} as public"
    if any(secret in one.event.draft.body for secret in secrets):
        return f"{ticket} quotes an internal article"
    return None


def _sentences(texts: Collection[str]) -> frozenset[str]:
    lines = (line.strip(" -*#") for text in texts for line in text.replace(". ", ".\n").splitlines())
    return frozenset(line for line in lines if len(line) >= _SENTENCE_CHARS_MIN)


def language(ended: Sequence[Ended], *, model: str) -> Figure:
    """The share of tickets for which a reply is asked in the language of the desk's locale, wrong labels included."""
    asked: dict[str, list[bool]] = {}
    wrong = []
    for one in ended:
        ticket = one.received.ticket
        said = one.event.verdict.language if isinstance(one.event, TicketClassified) else "none"
        right = _base(said) == _base(ticket.locale)
        asked.setdefault(_base(ticket.locale), []).append(right)
        if not right:
            wrong.append((ticket.ticket_id, _base(ticket.locale), said))
    mislabelled = sum(WRONG_LABELS.get(ticket_id) == _base(said) for ticket_id, _, said in wrong)
    note = f"{mislabelled} of {len(wrong)} are wrong labels: the message is in the language that was asked"
    others = [f"{id_} ({locale}, asked {said})" for id_, locale, said in wrong if WRONG_LABELS.get(id_) != _base(said)]
    if others:
        note += f"; truly wrong: {', '.join(others[:_EXAMPLES_MAX])}" + (" and more" if others[_EXAMPLES_MAX:] else "")
    rights = [right for of_locale in asked.values() for right in of_locale]
    return Figure(
        "language_right", sum(rights) / len(rights), len(rights), model, at_least=LANGUAGE_RIGHT, note=note,
        details={locale: sum(of_locale) / len(of_locale) for locale, of_locale in sorted(asked.items())},
    )  # fmt: skip


def letters(ticket: Ticket) -> int:
    return sum(char.isalpha() for char in f"{ticket.subject}{ticket.body}")


def _base(tag: str | None) -> str:
    return (tag or "").partition("-")[0].lower()
