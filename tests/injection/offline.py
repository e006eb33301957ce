"""The four agents with the offline model behind them, in this process: rendered, parsed and answered as by its server.

Searches find the articles of the attack; the policy allows whatever a policy can allow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agents import classify, draft, enrich, route
from agents.contract import ModelCall
from app.models.prompts import PromptLibrary
from app.offline import classify as classifying
from app.offline.classify import Judge
from app.offline.embedding import Embedder
from app.offline.extract import draft as extract
from app.offline.ground import ground
from app.offline.request import parse_chat
from schemas.policy import Graduated, TenantPolicy
from schemas.tickets import Category, Passage, Ticket, TicketRouted
from tests.events import ALONE, open_policy, received

LIBRARY = PromptLibrary(cache_control=False, json_schema=True)


def everything_allowed(language: str) -> TenantPolicy:
    graduated = tuple(Graduated(category=category, locale=language) for category in Category)
    return open_policy(graduated=graduated, confidence_min=0.3)


@dataclass(frozen=True)
class OfflineModel:
    embedder: Embedder
    judge: Judge

    async def route(self, ticket: Ticket, passages: tuple[Passage, ...]) -> TicketRouted:
        first = received(ticket=ticket, event_id=ticket.ticket_id)
        (question,) = classify.follow_up(first, ALONE)
        classified = classify.decide(first, ALONE, await self.answer(question))
        enriched = enrich.decide(classified, passages, ALONE, everything_allowed("en"))
        answers = [await self.answer(question) for question in draft.ask(enriched)]
        answers += [await self.answer(question) for question in draft.follow_up(enriched, *answers)]
        drafted = draft.decide(enriched, *answers)
        policy = everything_allowed(classified.verdict.language)
        checks = [await self.answer(question) for question in route.follow_up(drafted, policy, ALONE)]
        return route.decide(drafted, policy, ALONE, *checks)

    async def answer(self, call: ModelCall[Any]) -> Any:
        rendered = LIBRARY.render(call)
        chat = parse_chat(
            {
                "model": "any",
                "messages": list(rendered.messages),
                "max_tokens": call.max_tokens,
                "response_format": rendered.response_format,
            }
        )
        match chat.task:
            case "classify":
                return call.reply.model_validate(await classifying.classify(chat, self.embedder, self.judge))
            case "draft":
                return call.reply.model_validate(asdict(await extract(chat, self.embedder)))
            case "ground":
                claims = await ground(chat, self.embedder)
                return call.reply.model_validate({"claims": [asdict(claim) for claim in claims]})
