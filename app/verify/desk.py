"""A help desk that fails on purpose: it hangs after it accepted, answers 500 before or after, 429, accepts late, resets
the connection at any byte of the request or the answer. It takes no key against repeats: what is sent twice stands
there twice.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

import orjson

from app.desk.adapters.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature

SECRET = "for tests"  # noqa: S105 - it protects nothing
LATE_S = 0.4  # the latest that an accepted reply shows
REQUEST_BYTES_MAX = 1_000_000
CONNECTION_S_MAX = 10.0
LAG_LOOK_S = 0.1


class Fault(StrEnum):
    HANG_AFTER = "hang_after"  # accepted, and never answered
    ERROR_BEFORE = "error_before"  # 500, not accepted
    ERROR_AFTER = "error_after"  # 500, accepted
    REFUSE_NOW = "refuse_now"  # 429 with Retry-After
    LATE = "late"  # answers, or hangs up, and shows it later
    RESET_REQUEST = "reset_request"  # after some byte of the request
    RESET_ANSWER = "reset_answer"  # accepted; after some byte of the answer
    SLOW = "slow"  # the answer comes byte by byte, too slowly


@dataclass
class Landed:
    """Everything that was ever accepted: reply id to the times at which it was."""

    at: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bodies: dict[str, str] = field(default_factory=dict)


class Desk:
    """``share`` of the requests meet one of ``faults``."""

    def __init__(self, *, seed: int = 1, share: float = 0.0, faults: tuple[Fault, ...] = tuple(Fault)) -> None:
        self.landed = Landed()
        self.share = share
        self.faults = faults
        self.met: defaultdict[str, int] = defaultdict(int)
        self.address = ""
        self._rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._at_byte = 0  # resets go through all bytes in turn
        self._late: list[tuple[float, bytes]] = []  # accepted, and shown from then on
        self._open: set[asyncio.Task[None]] = set()  # connections
        self._closing = asyncio.Event()
        self.lag_s_max = 0.0  # by which this process came late: what it accepted may have waited for so long

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Gives its URL."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/replies"
        watch = asyncio.create_task(self._watch())
        try:
            yield self.address
        finally:
            watch.cancel()
            server.close()
            self._closing.set()
            await asyncio.gather(*self._open)
            self._show(float("inf"))

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_LOOK_S)
            self.lag_s_max = max(self.lag_s_max, time.monotonic() - began - LAG_LOOK_S)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection, so that a reset hits no other."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(CONNECTION_S_MAX):
                await self._request(reader, writer)
        writer.close()
        self._open.discard(task)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._rng.choice(self.faults) if self._rng.random() < self.share else None
        if fault is not None:
            self.met[fault] += 1
        if fault is Fault.RESET_REQUEST:
            await reader.readexactly(self._next_byte(400))
            _reset(writer)
            return
        method, target, headers, body = await _read(reader)
        self._show(time.monotonic())
        if not _is_signed(headers, body if method == "POST" else urlsplit(target).query.encode()):
            await _answer(writer, 401, {"error": "signature"})
            return
        if method == "GET":
            await self._tell(writer, parse_qs(urlsplit(target).query)["reply_id"][0], fault)
        else:
            await self._take(writer, body, fault)

    async def _take(self, writer: asyncio.StreamWriter, body: bytes, fault: Fault | None) -> None:
        if fault is Fault.ERROR_BEFORE:
            await _answer(writer, 500, {"error": "before"})
            return
        if fault is Fault.REFUSE_NOW:
            await _answer(writer, 429, {"error": "slow down"}, ("Retry-After: 1",))
            return
        if fault is Fault.LATE:
            self._late.append((time.monotonic() + self._rng.uniform(0.0, LATE_S), body))
            if self._rng.random() < 0.5:
                _reset(writer)
                return
            await asyncio.sleep(LATE_S)
        else:
            self._accept(body)
        await self._after(writer, {"id": f"remote-{len(self.landed.at)}"}, fault)

    async def _after(self, writer: asyncio.StreamWriter, told: dict[str, object], fault: Fault | None) -> None:
        match fault:
            case Fault.HANG_AFTER:
                await self._closing.wait()
            case Fault.ERROR_AFTER:
                await _answer(writer, 500, {"error": "after"})
            case Fault.RESET_ANSWER:
                answer = _bytes(200, told)
                writer.write(answer[: self._next_byte(len(answer))])
                await writer.drain()
                _reset(writer)
            case Fault.SLOW:
                for byte in _bytes(200, told):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.1)
            case _:
                await _answer(writer, 200, told)

    async def _tell(self, writer: asyncio.StreamWriter, reply_id: str, fault: Fault | None) -> None:
        if fault in (Fault.ERROR_BEFORE, Fault.REFUSE_NOW):
            await _answer(writer, 503, {"error": "busy"})
            return
        landed = reply_id in self.landed.at
        await self._after(writer, {"landed": landed, "id": f"remote-{reply_id}" if landed else None}, fault)

    def _show(self, until: float) -> None:
        """By the clock and not by a task: a busy machine must not make it show later than was promised."""
        for due in [each for each in self._late if each[0] <= until]:
            self._late.remove(due)
            self._accept(due[1])

    def _accept(self, body: bytes) -> None:
        reply = orjson.loads(body)
        self.landed.at[reply["reply_id"]].append(time.time())
        self.landed.bodies[reply["reply_id"]] = reply["body"]

    def _next_byte(self, size: int) -> int:
        self._at_byte += 1
        return self._at_byte % size


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    size = min(int(headers.get("content-length", 0)), REQUEST_BYTES_MAX)
    return method, target, headers, await reader.readexactly(size)


def _is_signed(headers: dict[str, str], signed: bytes) -> bool:
    given = headers.get(SIGNATURE_HEADER.lower(), "")
    return given == signature(SECRET, headers.get(TIMESTAMP_HEADER.lower(), ""), signed)


def _bytes(status: int, told: dict[str, object], extra: tuple[str, ...] = ()) -> bytes:
    body = orjson.dumps(told)
    lines = (f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *extra, "", "")
    return "\r\n".join(lines).encode() + body


async def _answer(
    writer: asyncio.StreamWriter, status: int, told: dict[str, object], extra: tuple[str, ...] = ()
) -> None:
    writer.write(_bytes(status, told, extra))
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST in place of FIN."""
    connected: socket.socket = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
