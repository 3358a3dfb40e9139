"""A listener for requests on a loopback socket, and an acceptance that answers as a test says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson

from tubepost_api.config import RestConfig
from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.server import RestServer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import SessionFacts, Transaction

BEARER = "throw-away-token-of-the-app"
HEAD = {"host": "x", "authorization": f"Bearer {BEARER}", "content-type": "application/json"}
DELIVERED = Reply(250, "2.0.0", "Delivered apns-id=x", "", "delivered")
QUEUED = Reply(250, "2.0.0", "Queued", "", "queued")
PATIENCE = 20.0


class Pending:
    """What acceptance holds of a transaction; notes that its client has gone."""

    def __init__(self) -> None:
        self.abandoned = False

    def abandon(self) -> None:
        self.abandoned = True


class Acceptor:
    """Implements `Acceptance`. `answer` None: answers are the test's to give."""

    def __init__(self, answer: Reply | Callable[[Transaction[str]], Reply] | None = DELIVERED) -> None:
        self.answer = answer
        self.accepted: list[Transaction[str]] = []
        self.came = asyncio.Event()

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | str:
        return refusal("UnknownDomain") if domain == "unknown.example" else domain

    def accept(self, transaction: Transaction[str]) -> None:
        self.accepted.append(transaction)
        transaction.apns_id = b"id-%d" % len(self.accepted)
        transaction.pending = Pending()
        self.came.set()
        answer = self.answer(transaction) if callable(self.answer) else self.answer
        if answer is not None:
            transaction.reply(answer)


def effective(acceptance: Acceptor, tls: ssl.SSLContext | None = None, **values: Any) -> EffectiveRest[str]:
    networks = values.pop("networks", ())
    tokens = values.pop("tokens", {"app": BEARER})
    return EffectiveRest(RestConfig(tokens="rest", **values), acceptance, tokens, networks, tls)


class Site:
    """A running listener."""

    def __init__(self, acceptance: Acceptor, **values: Any) -> None:
        self.acceptance = acceptance
        self.metrics = Metrics()
        self.server: RestServer[str] = RestServer(self.metrics)
        self.server.update(effective(acceptance, **values))
        self.socket = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def samples(self, name: str) -> dict[str, float]:
        return {
            ",".join(sample.labels.values()): sample.value
            for metric in self.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == name
        }


@asynccontextmanager
async def site(acceptance: Acceptor | None = None, **values: Any) -> AsyncIterator[Site]:
    found = Site(acceptance or Acceptor(), **values)
    await found.server.serve([found.socket])
    try:
        yield found
    finally:
        await found.server.drain(0.0)
        found.socket.close()


class Client:
    """Speaks HTTP/1.1 octet by octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Client:
        name = "localhost" if tls is not None else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.writer.transport.abort()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def post(self, document: Any, path: str = "/v1/notifications", **fields: str | None) -> None:
        self.send(request(document, path, **fields))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, fields, body."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
            }
            body = await self.reader.readexactly(int(fields.get("content-length", "0")))
        return int(head[0].split()[1]), fields, body

    async def json(self) -> tuple[int, dict[str, Any]]:
        status, _, body = await self.answer()
        return status, orjson.loads(body)

    async def ended(self) -> bytes:
        """What else comes until the connection ends."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


def request(
    document: Any, path: str = "/v1/notifications", method: str = "POST", **fields: str | None
) -> bytes:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    head: dict[str, str | None] = {**HEAD, "content-length": str(len(body))}
    head.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in head.items() if v is not None)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def notification(**changes: Any) -> dict[str, Any]:
    whole = {
        "domain": "push.example",
        "deviceToken": "ab" * 32,
        "payload": {"aps": {"alert": "hi"}},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}
