"""What every adapter to a help desk keeps. A new one adds itself to ``KINDS``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from app.desk.adapters import Adapter, NotNow, Outgoing, Refused, Unsure
from app.desk.adapters.console import Console
from app.desk.adapters.file import Files
from app.desk.adapters.webhook import Webhook, signature
from app.verify.desk import SECRET, Desk, Fault


@dataclass
class Kind:
    """An adapter, and what its desk holds."""

    adapter: Adapter
    bodies: Callable[[str], list[str]]  # of a reply id, as often as it landed
    desk: Desk | None = None


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[Kind]:
    yield Kind(Console(), lambda reply_id: [])


@asynccontextmanager
async def file(folder: Path) -> AsyncIterator[Kind]:
    def bodies(reply_id: str) -> list[str]:
        return [orjson.loads(found.read_bytes())["body"] for found in folder.glob(f"*/{reply_id}.json")]

    yield Kind(Files(folder), bodies)


@asynccontextmanager
async def webhook(folder: Path) -> AsyncIterator[Kind]:
    desk = Desk()

    def bodies(reply_id: str) -> list[str]:
        return [desk.landed.bodies[reply_id]] * len(desk.landed.at.get(reply_id, ()))

    async with desk.serving() as url:
        yield Kind(Webhook(url, SECRET, timeout_s=1.0, settle_s=0.5), bodies, desk)


KINDS = {"console": console, "file": file, "webhook": webhook}
KEEPING = ("file", "webhook")  # those whose replies stand somewhere else


@pytest.fixture
async def kind(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kind]:
    async with KINDS[request.param](tmp_path) as made:
        yield made
        await made.adapter.close()


def reply(**fields: Any) -> Outgoing:
    known = {"reply_id": uuid4(), "tenant": "acme", "ticket_id": "t1", "conversation_id": "c1", "channel": "file",
             "body": "Press Ctrl+P."}  # fmt: skip
    return Outgoing(**{**known, **fields})


every = pytest.mark.parametrize("kind", list(KINDS), indirect=True)
keeping = pytest.mark.parametrize("kind", KEEPING, indirect=True)


@every
async def test_a_reply_that_was_sent_has_a_name_at_the_desk(kind: Kind) -> None:
    assert await kind.adapter.send(reply())


@every
async def test_what_was_never_sent_is_not_found(kind: Kind) -> None:
    assert await kind.adapter.find(reply()) is None


@keeping
async def test_a_reply_that_was_sent_is_found(kind: Kind) -> None:
    sent = reply()
    await kind.adapter.send(sent)
    assert await kind.adapter.find(sent)
    assert kind.adapter.settle_s is not None


@keeping
@pytest.mark.parametrize("body", ["Grüße 日本語 \u202e \n\t \"'", "x" * 50_000, "🙂"])
async def test_the_customer_s_text_arrives_as_it_is(kind: Kind, body: str) -> None:
    sent = reply(body=body)
    await kind.adapter.send(sent)
    assert kind.bodies(str(sent.reply_id)) == [body]


@keeping
async def test_replies_of_two_tenants_are_kept_apart(kind: Kind) -> None:
    mine, theirs = reply(), reply(tenant="globex")
    await kind.adapter.send(mine)
    assert await kind.adapter.find(theirs) is None


def texts(folder: Path) -> list[str]:
    return [orjson.loads(found.read_bytes())["body"] for found in folder.glob("*/*")]


async def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    adapter, sent = Files(tmp_path), reply()
    assert await adapter.send(sent) == await adapter.send(replace(sent, body="other"))
    assert texts(tmp_path) == [sent.body]


async def test_a_folder_that_cannot_be_written_says_so_and_nothing_has_landed(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("a file where the folder should be")
    with pytest.raises(NotNow, match="writable"):
        await Files(tmp_path).send(reply())


# --- what a failing desk is told as


async def outcome(fault: Fault, *, share: float = 1.0) -> tuple[str, int]:
    """What sending told, and how often it landed."""
    desk = Desk(share=share, faults=(fault,))
    async with desk.serving() as url:
        adapter = Webhook(url, SECRET, timeout_s=0.6, settle_s=0.5)
        sent = reply()
        try:
            await adapter.send(sent)
            told = "sent"
        except (Refused, NotNow, Unsure) as error:
            told = type(error).__name__
        await adapter.close()
    return told, len(desk.landed.at[str(sent.reply_id)])


@pytest.mark.parametrize(
    ("fault", "told", "landed"),
    [
        (Fault.HANG_AFTER, "Unsure", 1),
        (Fault.ERROR_BEFORE, "Unsure", 0),
        (Fault.ERROR_AFTER, "Unsure", 1),
        (Fault.REFUSE_NOW, "NotNow", 0),
        (Fault.RESET_REQUEST, "Unsure", 0),
        (Fault.RESET_ANSWER, "Unsure", 1),
        (Fault.SLOW, "Unsure", 1),
    ],
)
async def test_a_failing_desk_is_never_taken_for_one_that_said_no(fault: Fault, told: str, landed: int) -> None:
    assert await outcome(fault) == (told, landed)


async def test_an_answer_cut_off_at_any_byte_leaves_it_unsure() -> None:
    desk = Desk(share=1.0, faults=(Fault.RESET_ANSWER,))
    async with desk.serving() as url:
        adapter = Webhook(url, SECRET, timeout_s=1.0, settle_s=0.5)
        for _ in range(100):
            with pytest.raises(Unsure):
                await adapter.send(reply())
        await adapter.close()
    assert len(desk.landed.at) == 100


async def test_the_pause_that_a_desk_asks_for_is_told() -> None:
    desk = Desk(share=1.0, faults=(Fault.REFUSE_NOW,))
    async with desk.serving() as url:
        adapter = Webhook(url, SECRET, timeout_s=1.0, settle_s=0.5)
        with pytest.raises(NotNow) as caught:
            await adapter.send(reply())
        await adapter.close()
    assert caught.value.retry_after_s == 1


async def test_a_desk_that_is_not_there_has_not_taken_it() -> None:
    async with Desk().serving() as url:
        pass
    adapter = Webhook(url, SECRET, timeout_s=1.0, settle_s=0.5)
    with pytest.raises(NotNow, match="cannot be reached"):
        await adapter.send(reply())
    with pytest.raises(Unsure):
        await adapter.find(reply())
    await adapter.close()


async def test_a_wrong_secret_is_tried_again_and_never_found() -> None:
    async with Desk().serving() as url:
        adapter = Webhook(url, "another", timeout_s=1.0, settle_s=0.5)
        with pytest.raises(NotNow, match="401"):
            await adapter.send(reply())
        with pytest.raises(Unsure):
            await adapter.find(reply())
        await adapter.close()


def test_the_signature_is_that_of_the_documentation() -> None:
    """Anybody can check it: printf '1700000000.{}' | openssl dgst -sha256 -hmac secret"""
    digest = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert signature("secret", "1700000000", b"{}") == f"sha256={digest}"
