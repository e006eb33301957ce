"""The pipeline: a new stage is one agent file, one event class and one line here."""

from __future__ import annotations

from agents import classify, draft, enrich, route
from agents.contract import Agent

PIPELINE: tuple[Agent, ...] = (
    classify.AGENT,
    enrich.AGENT,
    draft.AGENT,
    route.AGENT,
)

STAGES: dict[str, Agent] = {agent.name: agent for agent in PIPELINE}
