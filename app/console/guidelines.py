"""What drafts are told, and what past tickets' drafts would be under other words, before these are put in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response

from agents.contract import PermanentError
from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import console_of, form, page, render, see_other, words
from app.desk.decisions import Piece, word_diff
from app.models.guidelines import FILE_CHARS_MAX, KINDS, LOCALE_CHARS_MAX, TENANT_CHARS_MAX, TenantGuidelines
from app.models.locales import normalised, resolve
from app.models.prompts import Level, PromptError
from app.redraft import Redraft

TICKETS_MAX = 5  # of one preview: each is a paid draft, or two where the first must be repaired
DAYS = 30
_ID_CHARS_MAX = 200


@dataclass(frozen=True)
class Tried:
    """What is asked of a preview."""

    language: str
    own: TenantGuidelines
    tickets: int = TICKETS_MAX
    ticket_id: str = ""  # this one only; empty: the newest ones in this language

    @property
    def in_language(self) -> str:
        return self.own.locales.get(self.language, "")


@dataclass(frozen=True)
class Compared:
    """Two drafts beside each other, with what only one of them says."""

    redraft: Redraft
    before: Sequence[Piece]
    after: Sequence[Piece]

    @classmethod
    def of(cls, redraft: Redraft) -> Compared:
        pieces = word_diff(redraft.before, redraft.after)
        return cls(
            redraft,
            [piece for piece in pieces if piece.kind != "added"],
            [piece for piece in pieces if piece.kind != "removed"],
        )


def in_force(own: TenantGuidelines, language: str) -> Tried:
    """The form as it begins."""
    tag = resolve(language, own.locales)
    return Tried(language, TenantGuidelines(own.kinds, {language: own.locales[tag]} if tag else {}))


async def _page(request: Request, session: Session, *, typed: Tried | None = None, problem: str = "") -> Response:
    console = console_of(request)
    job = console.previews.of(session.tenant)
    language = normalised(request.query_params.get("language", "")) or "en"
    shown = typed or (job.asked if job and "language" not in request.query_params else None)
    own = console.guidelines.tenants.get(session.tenant, TenantGuidelines())
    result = job.result if job else None
    levels, unusable = _levels(request, session.tenant, language)
    return render(
        request, "guidelines.html", status=400 if problem else 200, problem=problem or unusable, kinds=KINDS, job=job,
        levels=levels, language=language,
        tried=shown or in_force(own, language), compared=[Compared.of(each) for each in result or ()],
        cost_usd=sum((each.cost_usd for each in result or ()), Decimal(0)), tickets_max=TICKETS_MAX, days=DAYS,
        file_chars_max=FILE_CHARS_MAX, locale_chars_max=LOCALE_CHARS_MAX,
        is_offline=any(each.model.startswith("offline-") for each in result or ()),
    )  # fmt: skip


async def _show(request: Request, session: Session) -> Response:
    return await _page(request, session)


async def _try(request: Request, session: Session) -> Response:
    sent, t = await form(request), words(request)
    language = normalised(sent.get("language", ""))
    kinds = {kind: text for kind in KINDS if (text := sent.get(kind, "").strip())}
    in_language, tickets = sent.get("in_language", "").strip(), sent.get("tickets", "")
    tried = Tried(
        language or "en",
        TenantGuidelines(kinds, {language: in_language} if language and in_language else {}),
        int(tickets) if tickets in map(str, range(1, TICKETS_MAX + 1)) else 1,
        sent.get("ticket", "").strip()[:_ID_CHARS_MAX],
    )
    if language is None:
        return await _page(request, session, typed=tried, problem=t("guidelines.no_language"))
    if _is_too_long(tried):
        return await _page(request, session, typed=tried, problem=t("guidelines.too_long", chars=TENANT_CHARS_MAX))
    console_of(request).previews.start(session.tenant, tried)
    return see_other("/guidelines#found")


def _is_too_long(tried: Tried) -> bool:
    """As files of them would be."""
    kinds = tried.own.kinds.values()
    return (
        any(len(text) > FILE_CHARS_MAX for text in kinds)
        or len(tried.in_language) > LOCALE_CHARS_MAX
        or sum(map(len, kinds)) + len(tried.in_language) > TENANT_CHARS_MAX
    )


def _levels(request: Request, tenant: str, language: str) -> tuple[Sequence[Level], str]:
    try:
        return console_of(request).prompts.levels("draft", tenant=tenant, language=language), ""
    except (PromptError, PermanentError) as error:
        return (), str(error)


show = page(Role.VIEWER, _show)
preview = page(Role.ADMIN, _try)
