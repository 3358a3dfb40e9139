"""An SMTP client that injects as fast as the server answers, over many connections, and counts."""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Protocol, cast

from benchmarks.fixtures import DOMAIN, messages

_MAIL = b"MAIL FROM:<alerts@sender.example>\r\n"
_RCPT = b"RCPT TO:<subscriber@" + DOMAIN.encode() + b">\r\n"
_DATA = b"DATA\r\n"


class LoadError(RuntimeError):
    """The server did something that makes the figures worthless."""


class Load:
    """Connections that each send one message after the other.

    `pipelined`: MAIL, RCPT and DATA in one write (RFC 2920), which the server must have offered; else each
    command waits for the reply to the one before. `accepted` counts the 250s after DATA, `refused` all
    other replies by code, the first of each kept in `samples`.
    """

    def __init__(self, port: int, connections: int, *, pipelined: bool) -> None:
        self.port = port
        self.connections = connections
        self.pipelined = pipelined
        self.accepted = 0
        self.refused: collections.Counter[int] = collections.Counter()
        self.samples: dict[int, str] = {}
        self.stopping = False
        self.bodies: Iterator[bytes] = itertools.cycle(messages())
        self._open: set[asyncio.Future[None]] = set()
        self._clients: list[Client] = []

    async def start(self) -> None:
        """Open all connections; each begins to send."""
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            done: asyncio.Future[None] = loop.create_future()
            self._open.add(done)
            _, client = await loop.create_connection(
                functools.partial(_Client, self, done), "127.0.0.1", self.port
            )
            self._clients.append(client)

    def check(self) -> None:
        """Raise what has gone wrong so far.

        Raises:
            LoadError: a connection was lost, or a message was not accepted.
        """
        for done in self._open:
            if done.done() and (error := done.exception()):
                raise error
        if self.refused:
            raise LoadError(f"messages were refused: {dict(self.refused)} {self.samples}")

    def abort(self) -> None:
        """Drop every connection at once; those that have ended are left alone."""
        for client in self._clients:
            client.abort()

    async def stop(self, limit: float = 30.0) -> None:
        """Let every connection end its transaction and QUIT, within `limit` seconds.

        Raises:
            LoadError: some did not, or as `check`.
        """
        self.stopping = True
        _, late = await asyncio.wait(self._open, timeout=limit)
        if late:
            raise LoadError(f"{len(late)} connections had no reply for {limit} s")
        self.check()


class Client(Protocol):
    """One connection of a load."""

    def abort(self) -> None:
        """Drop it at once; without effect for one that has ended."""


class _Client(asyncio.Protocol):
    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self._load = load
        self._done = done
        self._rest = b""
        self._next: Callable[[int, bytes], None] = self._greeted
        self._offers = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        self._write, self._close = stream.write, stream.close

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(LoadError(f"the server closed a connection: {exc}"))

    def abort(self) -> None:
        if not self._done.cancel() and not self._done.cancelled():
            self._done.exception()  # one of them has been raised already
        self._close()

    def data_received(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        for line in lines:
            if line[3:4] == b"-":
                self._offers += line
            else:
                try:
                    self._next(int(line[:3]), line)
                except LoadError as error:
                    if not self._done.done():
                        self._done.set_exception(error)
                    self._close()
                    return

    def _greeted(self, code: int, line: bytes) -> None:
        self._expect(220, code, line)
        self._write(b"EHLO load.example\r\n")
        self._next = self._welcomed

    def _welcomed(self, code: int, line: bytes) -> None:
        self._expect(250, code, line)
        if self._load.pipelined and b"PIPELINING" not in self._offers + line:
            raise LoadError("the server does not offer PIPELINING")
        self._begin()

    def _begin(self) -> None:
        if self._load.stopping:
            self._write(b"QUIT\r\n")
            self._next = self._quit
        elif self._load.pipelined:
            self._write(_MAIL + _RCPT + _DATA)
            self._next = self._mailed_ahead
        else:
            self._write(_MAIL)
            self._next = self._mailed

    def _mailed(self, code: int, line: bytes) -> None:
        self._expect(250, code, line)
        self._write(_RCPT)
        self._next = self._addressed

    def _addressed(self, code: int, line: bytes) -> None:
        self._expect(250, code, line)
        self._write(_DATA)
        self._next = self._invited

    def _mailed_ahead(self, code: int, line: bytes) -> None:
        self._expect(250, code, line)
        self._next = self._addressed_ahead

    def _addressed_ahead(self, code: int, line: bytes) -> None:
        self._expect(250, code, line)
        self._next = self._invited

    def _invited(self, code: int, line: bytes) -> None:
        self._expect(354, code, line)
        self._write(next(self._load.bodies))
        self._next = self._answered

    def _answered(self, code: int, line: bytes) -> None:
        if code == 250:
            self._load.accepted += 1
        else:
            self._load.refused[code] += 1
            self._load.samples.setdefault(code, line.decode(errors="replace"))
        self._begin()

    def _quit(self, _code: int, _line: bytes) -> None:
        self._done.set_result(None)
        self._close()

    @staticmethod
    def _expect(wanted: int, code: int, line: bytes) -> None:
        if code != wanted:
            raise LoadError(f"expected {wanted}, got {line.decode(errors='replace')!r}")
