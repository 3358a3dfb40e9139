"""Many SMTP sessions at once, from one thread: every message once, whatever happens, and what was said to it.

A message whose reply did not come is not sent again: whatever arrives twice, the dispatcher doubled.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import time
from typing import Self

from tests.e2e.senders import message

_PATIENCE = 60.0
"""Seconds within which a reply must come."""


class Injector:
    """Sends `total` messages (none: until it is told to stop) over `sessions`, together `rate` a second.

    Sessions that end are opened again, for as long as it takes. Replies other than 250 end a message.
    """

    def __init__(
        self, port: int, sessions: int, *, total: int | None = None, rate: float = 0.0, name: str = "m"
    ) -> None:
        self.accepted: dict[str, str] = {}
        """By identity: the text of the 250."""
        self.replies: collections.Counter[int] = collections.Counter()
        """Replies to messages and commands other than 250, by code."""
        self.texts: dict[int, str] = {}
        """The latest of them."""
        self.unanswered: set[str] = set()
        """DATA was begun, and the session ended before the reply."""
        self._port = port
        self._sessions = sessions
        self._total = total
        self._interval = 1 / rate if rate else 0.0
        self._name = name
        self._started = 0.0
        self._sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE)

    @property
    def sent(self) -> int:
        """Messages begun."""
        return self._sent

    def join(self, timeout: float) -> None:
        """Wait until all are sent, or after `stop` until the sessions have ended."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "sessions hang"
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Begin no more messages."""
        self._stop.set()

    @property
    def _over(self) -> bool:
        return self._stop.is_set() or (self._total is not None and self._sent >= self._total)

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._sessions):
                    tasks.create_task(self._session())
        except BaseException as fault:  # noqa: BLE001 - raised where somebody looks
            self._fault = fault

    async def _session(self) -> None:
        while not self._over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                code = await self._greet(reader, writer)
                while code < 400 and not self._over:
                    await self._pace()
                    if self._over:
                        break
                    code = await self._message(reader, writer)
                if code != 421:
                    writer.write(b"QUIT\r\n")
                    await _reply(reader)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _pace(self) -> None:
        if self._interval:
            due = self._started + (self._sent + 1) * self._interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        code, text = await _reply(reader)
        if code == 220:
            writer.write(b"EHLO injector.example\r\n")
            code, text = await _reply(reader)
        if code >= 400:
            self._said(code, text)
        return code

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        identity = f"{self._name}{self._sent}"
        self._sent += 1
        code, text = 0, ""
        for command in (b"MAIL FROM:<a@b.example>", b"RCPT TO:<x@apn_example.com>", b"DATA"):
            writer.write(command + b"\r\n")
            code, text = await _reply(reader)
            if code >= 400:
                self._said(code, text)
                return await self._reset(reader, writer, code)
        self.unanswered.add(identity)
        writer.write(message(identity) + b"\r\n.\r\n")
        code, text = await _reply(reader)
        self.unanswered.discard(identity)
        if code == 250:
            self.accepted[identity] = text
            return code
        self._said(code, text)
        return code if code == 421 else 250

    async def _reset(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, code: int) -> int:
        if code == 421:
            return code
        writer.write(b"RSET\r\n")
        return (await _reply(reader))[0]

    def _said(self, code: int, text: str) -> None:
        self.replies[code] += 1
        self.texts[code] = text


async def _reply(reader: asyncio.StreamReader) -> tuple[int, str]:
    while True:
        line = await asyncio.wait_for(reader.readuntil(b"\r\n"), _PATIENCE)
        if line[3:4] == b" ":
            return int(line[:3]), line[4:].decode(errors="replace").strip()
