"""Every address of the console, and what answers it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agents.contract import PermanentError, TransientError
from app.console import admin, api, gaps, guidelines, letters, policy, queue, report, sign_in, ticket, trust
from app.console.guarded import Guarded
from app.console.web import HERE, Console, render, words

ROUTES = (
    Route("/", queue.show),
    Route("/events", queue.events),
    Route("/next", ticket.next_one),
    Route("/ticket", ticket.show),
    Route("/decide", ticket.decide, methods=["POST"]),
    Route("/undo", ticket.undo, methods=["POST"]),
    Route("/reopen", ticket.reopen, methods=["POST"]),
    Route("/settle", ticket.settle, methods=["POST"]),
    Route("/diff", ticket.diff, methods=["POST"]),
    Route("/lease", ticket.lease, methods=["POST"]),
    Route("/dead-letters", letters.show),
    Route("/dead-letters", letters.handle, methods=["POST"]),
    Route("/graduation", trust.show),
    Route("/graduation", trust.change, methods=["POST"]),
    Route("/policy", policy.show),
    Route("/guidelines", guidelines.show),
    Route("/guidelines", guidelines.preview, methods=["POST"]),
    Route("/gaps", gaps.show),
    Route("/gaps", gaps.start, methods=["POST"]),
    Route("/report", report.show),
    Route("/audit", admin.audit),
    Route("/users", admin.users),
    Route("/users", admin.change_users, methods=["POST"]),
    Route("/sign-in", sign_in.show),
    Route("/sign-in", sign_in.by_password, methods=["POST"]),
    Route("/sign-in/link", sign_in.show_link),
    Route("/sign-in/link", sign_in.by_link, methods=["POST"]),
    Route("/sign-in/provider", sign_in.to_provider),
    Route("/sign-in/provider/return", sign_in.from_provider),
    Route("/sign-out", sign_in.sign_out, methods=["POST"]),
    Route("/locale", sign_in.choose_locale, methods=["POST"]),
    Route("/account", sign_in.account),
    Route("/account/password", sign_in.set_password, methods=["POST"]),
    Route("/api/tickets", api.tickets),
    Route("/api/ticket", api.ticket),
    Route("/api/decisions", api.decide, methods=["POST"]),
    Route("/api/feedback", api.tell, methods=["POST"]),
    Route("/api/audit", api.audit),
)


def application(console: Console) -> Starlette:
    app = Starlette(
        routes=[*ROUTES, Route("/healthz", _health), Mount("/static", StaticFiles(directory=HERE / "static"))],
        middleware=[Middleware(Guarded, url=console.url)],
        exception_handlers={HTTPException: _refused, PermanentError: _impossible, TransientError: _away},
    )
    app.state.console = console
    return app


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {403: "forbidden", 404: "not_found", 405: "not_found", 503: "away"}.get(error.status_code, "bad")
    return _problem(request, kind, error.status_code)


async def _impossible(request: Request, error: Exception) -> Response:
    assert isinstance(error, PermanentError)
    return _problem(request, "not_found", 404) if error.reason == "no_ticket" else _problem(request, "bad", 400, error)


async def _away(request: Request, error: Exception) -> Response:
    response = _problem(request, "away", 503)
    response.headers["retry-after"] = "5"
    return response


def _problem(request: Request, kind: str, status: int, error: Exception | None = None) -> Response:
    t = words(request)
    text = str(error) if error else t(f"problem.{kind}_text")
    return render(request, "problem.html", status=status, title=t(f"problem.{kind}"), text=text)
