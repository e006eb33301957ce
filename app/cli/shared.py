"""What every command shares: settings, running, and failures as one line with an exit code."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from app.config import Settings, describe_problem

T = TypeVar("T")

USAGE, AWAY, BUG, INTERRUPTED = 2, 3, 70, 130

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            err.print(describe_problem(problem), markup=False, style="red", soft_wrap=True)
        raise typer.Exit(USAGE) from None
    except ValueError as error:  # the TOML file
        fail(f"deskstream.toml: {error}", USAGE)


def resolved(names: tuple[str, ...] | None = None) -> Settings:
    from app.embedded import servers
    from app.embedded.process import ServerError

    try:
        return servers.resolve(settings(), names=names or servers.SETTINGS)
    except ServerError as error:
        fail(str(error), AWAY)


def run(work: Coroutine[Any, Any, T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run it; every expected failure becomes one line and an exit code."""
    from aiokafka.errors import KafkaError

    from agents.contract import PermanentError, TransientError
    from app.embedded.process import ServerError

    # Whatever it complains of comes up as an error or is waited for; people are told in words.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def interruptible() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(interruptible())
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print("Interrupted; what this command started is stopped.")
        raise typer.Exit(INTERRUPTED) from None
    except (ServerError, TransientError, PermanentError) as error:
        fail(str(error), AWAY)
    except KafkaError as error:
        place = settings().kafka_bootstrap or "the embedded server"
        fail(f"Kafka at {place}: {error}; check KAFKA_BOOTSTRAP, or run `deskstream doctor`", AWAY)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or error}", AWAY)


def keep_trace() -> Path:
    with NamedTemporaryFile("w", prefix="deskstream-bug-", suffix=".log", delete=False) as file:
        traceback.print_exc(file=file)
    return Path(file.name)


def existing(path: Path, option: str) -> Path:
    if not path.exists():
        fail(f"{option}: {path} does not exist", USAGE)
    return path


def fail(text: str, code: int) -> NoReturn:
    err.print(text, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def without_password(address: str) -> str:
    head, at, tail = address.rpartition("@")
    return f"{head.rpartition(':')[0]}:***@{tail}" if at else address
