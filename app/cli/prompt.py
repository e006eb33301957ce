"""``deskstream prompt``: what the models are told, and what it costs."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, err, out

if TYPE_CHECKING:
    from decimal import Decimal

    from app.cacheable import Shortest, Verdict
    from app.config import Settings
    from app.models.prompt_cache import Costs, Counted
    from app.models.prompts import Level, PromptLibrary

app = typer.Typer(no_args_is_help=True, help="The system prompts, composed of task, guidelines, locale and tenant.")

Name = Annotated[str, typer.Argument(help="A file of agents/prompts without its ending: classify, draft, ground.")]
Tenant = Annotated[str | None, typer.Option("--tenant", "-t", help="With this tenant's guidelines of GUIDELINES_DIR.")]
Locale = Annotated[str, typer.Option("--locale", "-l", help="The customer's language, as de or pt-BR.")]
_CALLS = 1_000
_CALLS_A_DAY = (100, 1_000, 10_000)
_SAID = {"yes": "yes", "no": "no: too short", "unsure": "unsure", None: "-"}


@app.command()
def show(name: Name, tenant: Tenant = None, locale: Locale = "en", as_json: AsJson = False) -> None:
    """The system prompt as it is sent, level by level. A cache breakpoint stands behind each."""
    from app.models.prompt_cache import counted

    settings = shared.settings()
    levels = _levels(_library(settings), name, tenant, locale)
    counts = counted(levels, None)
    if as_json:
        shared.print_json(
            [
                {"level": level.name, "files": level.parts, "tokens_estimate": count.tokens, "text": level.text}
                for level, count in zip(levels, counts, strict=True)
            ]
        )
        return
    for level, count in zip(levels, counts, strict=True):
        files = f"{level.name}: {', '.join(level.parts)}; about {count.tokens:,} tokens"
        out.print(f"──── {files}", style="dim", markup=False, soft_wrap=True)
        out.print(level.text, markup=False, emoji=False, soft_wrap=True)
    breakpoint_ = (
        "a breakpoint behind each level" if settings.llm_cache_control else "no breakpoints (LLM_CACHE_CONTROL)"
    )
    out.print(f"──── {len(levels)} levels, {breakpoint_}", style="dim", markup=False)
    _say_what_is_not_shown(settings)


@app.command()
def diff(
    name: Name = "draft",
    tenant: Tenant = None,
    locale: Annotated[
        list[str] | None, typer.Option("--locale", "-l", help="Once: for that language. Twice: one against the other.")
    ] = None,
) -> None:
    """The built-in system prompt against a tenant's, or one language's against another's."""
    locales = locale or ["en"]
    if len(locales) > 2 or (len(locales) == 1 and tenant is None):
        shared.fail("prompt diff: give --tenant, or --locale twice", shared.USAGE)
    library = _library(shared.settings())
    sides = (
        [(f"{name}, {tenant or 'built-in'}, {one}", tenant, one) for one in locales]
        if len(locales) == 2
        else [(f"{name}, {one or 'built-in'}, {locales[0]}", one, locales[0]) for one in (None, tenant)]
    )
    (from_title, before), (to_title, after) = (
        (title, _lines(_levels(library, name, of, language))) for title, of, language in sides
    )
    lines = list(unified_diff(before, after, from_title, to_title, lineterm=""))
    for line in lines:
        out.print(line, markup=False, emoji=False, soft_wrap=True)
    if not lines:
        out.print(f"{from_title} and {to_title}: the same.", markup=False)


@app.command()
def cost(name: Name, tenant: Tenant = None, locale: Locale = "en", as_json: AsJson = False) -> None:
    """Tokens of each level beside the model's shortest cacheable length, and the price of 1,000 tickets."""
    from app.cacheable import shortest
    from app.models import prices, prompt_cache

    settings = shared.settings()
    levels = _levels(_library(settings), name, tenant, locale)
    model = _model(settings, name)
    known = shortest(model) if settings.llm_cache_control else None
    counts = prompt_cache.counted(levels, known)
    try:
        found = prompt_cache.costs(prices.load(settings.prices_file), model, counts[-1].up_to_here, calls=_CALLS)
    except (ValueError, OSError) as error:
        shared.fail(f"PRICES_FILE: {error}", shared.USAGE)
    cached = counts[-1].cached if settings.llm_cache_control else "no"
    verdict = _verdict(settings, model, known, counts)
    if as_json:
        shared.print_json(_as_json(model, known, counts, cached, verdict, found))
        return
    out.print(_table(model, known, counts))
    out.print(verdict, markup=False, soft_wrap=True)
    _print_costs(model, found, cached)
    _say_what_is_not_shown(settings)


# -- what the commands are made of


def _library(settings: Settings) -> PromptLibrary:
    from app.models.guidelines import load
    from app.wiring import prompt_library

    try:
        guidelines = load(settings.guidelines_dir)
    except OSError as error:
        shared.fail(f"GUIDELINES_DIR {settings.guidelines_dir}: {error.strerror or error}", shared.USAGE)
    for problem in guidelines.problems:
        err.print(problem, markup=False, style="yellow", soft_wrap=True)
    return prompt_library(settings, guidelines)


def _levels(library: PromptLibrary, name: str, tenant: str | None, locale: str) -> tuple[Level, ...]:
    from agents.contract import PermanentError
    from app.models.locales import normalised
    from app.models.prompts import PromptError

    if normalised(locale) is None:
        shared.fail(f"--locale: {locale!r} is no language tag such as de or pt-BR", shared.USAGE)
    try:
        levels = library.levels(name, tenant=tenant, language=locale)
    except (PromptError, PermanentError) as error:
        shared.fail(str(error), shared.USAGE)
    if tenant is not None and levels[-1].name != "tenant":
        err.print(f"{tenant} has no guidelines of its own in {name!r}: built-in ones only", markup=False)
    return levels


def _model(settings: Settings, name: str) -> str:
    from app.wiring import models_by_prompt

    model = models_by_prompt(settings).get(name)
    if model is None:
        shared.fail(f"no setting says which model is asked with the prompt {name!r}", shared.USAGE)
    return model


def _lines(levels: tuple[Level, ...]) -> list[str]:
    from app.models.prompts import joined

    return joined(levels).splitlines()


def _verdict(settings: Settings, model: str, known: Shortest | None, counts: tuple[Counted, ...]) -> str:
    if not settings.llm_cache_control:
        return "Nothing is cached: LLM_CACHE_CONTROL is off."
    if known is None:
        return f"The shortest prompt that {model} caches is not known here: counted as not cached."
    total = counts[-1].up_to_here
    match known.caches(total):
        case "no":
            return (
                f"Nothing is cached: about {total:,} tokens are below the {known.documented:,} that {model} needs. "
                "Prompts are not padded to get there."
            )
        case "unsure":
            return (
                f"Perhaps nothing is cached: about {total:,} tokens reach the documented {known.documented:,}, but not "
                f"the {known.sure:,} that were measured. Counted as not cached; the ledger's cache counters tell."
            )
        case "yes":
            first = next(count for count in counts if count.cached == "yes")
            return f"Cached from the level {first.level!r} on, with whatever stands before it."


def _table(model: str, known: Shortest | None, counts: tuple[Counted, ...]) -> Table:
    table = Table(caption=f"{model} caches from {known}" if known else None)
    for title in ("level", "tokens (estimate)", "up to here", "cached"):
        table.add_column(title, justify="left" if title in {"level", "cached"} else "right")
    for count in counts:
        table.add_row(count.level, f"{count.tokens:,}", f"{count.up_to_here:,}", _SAID[count.cached])
    return table


def _print_costs(model: str, found: Costs | None, cached: Verdict | None) -> None:
    if found is None:
        out.print(f"No price of {model} is known: set PRICES_FILE.", markup=False)
        return
    rows = [("without cache", found.uncached)]
    if cached in {None, "no"}:
        rows.append(("with cache: nothing is cached", found.uncached))
    else:
        rows += _cached_rows("with cache" if cached == "yes" else "if it is cached", found)
    out.print(f"The system prompts of {found.calls:,} calls, at list prices:")
    for said, usd in rows:
        out.print(f"  {said:<46}${usd:.2f}", markup=False)
    out.print("Messages, passages and answers come on top, the same with and without cache.")


def _cached_rows(when: str, found: Costs) -> list[tuple[str, Decimal]]:
    """Calls at random times, all of this tenant and language."""
    from app.models.prompt_cache import expected

    return [
        (f"{when}, all within its lifetime", found.warm),
        (f"{when}, none within it", found.cold),
        *((f"{when}, {n:,} calls a day", expected(found, calls_a_day=n)) for n in _CALLS_A_DAY),
    ]


def _as_json(
    model: str,
    known: Shortest | None,
    counts: tuple[Counted, ...],
    cached: Verdict | None,
    verdict: str,
    found: Costs | None,
) -> dict[str, Any]:
    from app.models.prompt_cache import expected

    return {
        "model": model,
        "levels": [
            {"level": one.level, "tokens_estimate": one.tokens, "up_to_here": one.up_to_here, "cached": one.cached}
            for one in counts
        ],
        "shortest_documented": known and known.documented,
        "shortest_measured": known and known.measured,
        "cached": cached,
        "verdict": verdict,
        "system_prompts_usd": found
        and {
            "calls": found.calls,
            "uncached": float(found.uncached),
            "warm": float(found.warm),
            "cold": float(found.cold),
            "by_calls_a_day": {str(n): float(expected(found, calls_a_day=n)) for n in _CALLS_A_DAY},
        },
    }


def _say_what_is_not_shown(settings: Settings) -> None:
    if not settings.llm_json_schema:
        out.print(
            "With LLM_JSON_SCHEMA off, the task is followed by the reply's JSON Schema, which is not counted here."
        )
