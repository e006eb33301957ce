"""What another policy would have made of past tickets."""

from __future__ import annotations

import pytest

from app.console.policy import UNCHECKED, preview, tried_policy
from schemas.policy import Mode, TenantPolicy
from schemas.tickets import Route, TicketRouted
from tests.events import drafted

NOW = TenantPolicy(tenant="acme")


def _routed(route: Route) -> TicketRouted:
    return TicketRouted.following(drafted(), grounding=None, route=route, reasons=("as it was",))


def test_under_the_policy_of_then_nothing_changes() -> None:
    found = preview([_routed(Route.REVIEW)], NOW)
    assert (found.tickets, found.after[UNCHECKED], found.after["send"], found.changed) == (1, 0, 0, ())


def test_what_was_superseded_stays_so() -> None:
    assert preview([_routed(Route.SUPERSEDED)], NOW).changed == ()


@pytest.mark.parametrize(("typed", "kept"), [("50", 0.5), ("x", 0.9), ("900", 1.0), ("", 0.9)])
def test_a_figure_that_is_none_is_left_as_it_is(typed: str, kept: float) -> None:
    assert tried_policy(NOW, {"mode": "auto", "confidence_percent": typed}, ["en"]).confidence_min == kept


def test_a_category_is_opened_in_the_languages_that_were_seen() -> None:
    tried = tried_policy(NOW, {"mode": "auto", "open_how_to": "on", "open_refund": "on"}, ["de", "en"])
    assert tried.mode is Mode.AUTO
    assert [(one.category, one.locale) for one in tried.graduated] == [("how_to", "de"), ("how_to", "en")]
