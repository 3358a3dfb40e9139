"""What the SMTP tests share: an acceptance that records, a session without a network, a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.loop import FakeLoop
from tubepost_api.config import AuthConfig, ListenerConfig, ListenerLimits, StartTlsConfig, StartTlsMode
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.server import SmtpServer
from tubepost_dispatcher.smtp.session import SmtpSession
from tubepost_dispatcher.transaction import SessionFacts, Transaction

UNKNOWN = Reply(550, "5.1.2", "Unknown domain")
ONE_RECIPIENT = Reply(452, "4.5.3", "One recipient for each transaction")
WAIT_AT_MOST = 10.0


_NAMES = re.compile(rb" (id=[0-9a-f]{25}|session=[0-9a-f]{6}-[0-9a-f]+)(?=\r\n)")


def split_names(replies: bytes) -> tuple[bytes, list[str]]:
    """Replies without the ids that they name at their ends, and those ids as they stand."""
    return _NAMES.sub(b"", replies), [name.decode() for name in _NAMES.findall(replies)]


class Recorder:
    """An acceptance. `reply` None: answers are held back until `answer`."""

    def __init__(self, reply: tuple[int, str, str] | None = (250, "2.0.0", "Delivered")) -> None:
        self.reply = None if reply is None else Reply(*reply)
        self.accepted: list[Transaction[str]] = []
        self.abandoned: list[Transaction[str]] = []
        self.asked: list[tuple[str, int]] = []
        self.on_accept: Callable[[Transaction[str]], None] | None = None
        self.arrived = asyncio.Event()
        self.withdrawn = asyncio.Event()

    def check_recipient(self, session: SessionFacts, domain: str, recipients_so_far: int) -> Reply | str:
        self.asked.append((domain, recipients_so_far))
        if domain == "broken.example":
            raise RuntimeError("/secret/path is broken")
        if domain == "unknown.example":
            return UNKNOWN
        return ONE_RECIPIENT if recipients_so_far else domain

    def accept(self, transaction: Transaction[str]) -> None:
        transaction.pending = _Held(self, transaction)
        self.accepted.append(transaction)
        self.arrived.set()
        if self.on_accept is not None:
            self.on_accept(transaction)
        elif self.reply is not None:
            transaction.reply(self.reply)

    @property
    def contents(self) -> list[bytes]:
        return [bytes(t.content) for t in self.accepted]


class _Held:
    """What a transaction of a `Recorder` is withdrawn by."""

    def __init__(self, recorder: Recorder, transaction: Transaction[str]) -> None:
        self.recorder = recorder
        self.transaction = transaction

    def abandon(self) -> None:
        self.recorder.abandoned.append(self.transaction)
        self.recorder.withdrawn.set()


class FakeTransport:
    """A connection that keeps what is written and can be asked what was done to it."""

    def __init__(self, peer: tuple[str, int] = ("192.0.2.7", 4711)) -> None:
        self.peer = peer
        self.writes: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.paused = False

    def get_extra_info(self, name: str) -> Any:
        return self.peer if name == "peername" else None

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class _SessionLoop(FakeLoop):
    """What aiosmtpd's constructor needs of a loop, too."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)


class Wire:
    """One session on a fake connection."""

    def __init__(
        self,
        config: ListenerConfig | None = None,
        acceptance: Recorder | None = None,
        *,
        beside: Wire | None = None,
        peer: tuple[str, int] = ("192.0.2.7", 4711),
        **more: Any,
    ) -> None:
        """`beside` is another session of the same listener and loop."""
        self.acceptance = acceptance or Recorder()
        self.metrics = Metrics()
        self.named: list[str] = []
        """`id=...` and `session=...` at the ends of replies, which `take` leaves out."""
        effective = EffectiveConfig(config or listener(), self.acceptance, **more)
        self.listener = beside.listener if beside else ListenerState(effective, self.metrics, None, 1_000.0)
        self.loop = beside.loop if beside else _SessionLoop()
        self.transport: Any = FakeTransport(peer)
        self.session = SmtpSession(self.listener, self.loop)
        self.id = self.session._smtp.id
        self.session.connection_made(self.transport)

    def turn(self) -> None:
        """Run what was scheduled, until nothing is."""
        self.loop.run_until_idle()

    def take(self) -> bytes:
        """What was written since the last call."""
        self.turn()
        out = b"".join(self.transport.writes)
        self.transport.writes.clear()
        out, names = split_names(out)
        self.named += names
        return out

    def send(self, data: bytes) -> bytes:
        """Feed input, as a connection does; returns what was written."""
        if not self.transport.closed:
            self.session.data_received(data)
        return self.take()

    def hello(self) -> Wire:
        """Past the greeting and EHLO."""
        self.send(b"EHLO client.example\r\n")
        return self

    def lose(self) -> None:
        self.session.connection_lost(None)


def listener(
    *,
    starttls: StartTlsMode = StartTlsMode.DISABLED,
    auth: AuthConfig | None = None,
    networks: tuple[str, ...] = (),
    **limits: Any,
) -> ListenerConfig:
    return ListenerConfig(
        hostname="mx.push.example",
        starttls=StartTlsConfig(mode=starttls),
        auth=auth,
        allowed_networks=networks,
        limits=ListenerLimits(**limits),
    )


ENVELOPE = b"MAIL FROM:<app@sender.example>\r\nRCPT TO:<device@push.example>\r\nDATA\r\n"
ENVELOPE_OK = b"250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
DELIVERED = b"250 2.0.0 Delivered\r\n"


class Running:
    """A listener on a loopback port."""

    def __init__(self, server: SmtpServer, port: int, acceptance: Recorder, metrics: Metrics) -> None:
        self.server = server
        self.port = port
        self.acceptance = acceptance
        self.metrics = metrics
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**20))
        self.clients.append(client)
        return client

    async def greeted(self) -> Client:
        client = await self.client()
        assert (await client.reply()).startswith(b"220 ")
        assert (await client.command(b"EHLO client.example")).startswith(b"250")
        return client

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until `condition` holds."""
        async with asyncio.timeout(WAIT_AT_MOST):
            while not condition():  # noqa: ASYNC110 - what is watched belongs to the listener
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(
    config: ListenerConfig | None = None,
    acceptance: Recorder | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    users: Mapping[str, str] | None = None,
    temp_dir: Path | None = None,
) -> AsyncIterator[Running]:
    acceptance = acceptance or Recorder()
    metrics = Metrics()
    server = SmtpServer(config or listener(), acceptance, metrics, tls=tls, users=users, temp_dir=temp_dir)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await server.start([listening])
        it = Running(server, listening.getsockname()[1], acceptance, metrics)
        try:
            yield it
        finally:
            await server.drain(0)
            for client in it.clients:
                await client.close()


class Client:
    """Speaks SMTP octet by octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.named: list[str] = []
        """`id=...` and `session=...` at the ends of replies, which are left out of what is returned."""

    async def reply(self) -> bytes:
        """One reply, all of its lines."""
        lines = b""
        async with asyncio.timeout(WAIT_AT_MOST):
            while True:
                line = await self.reader.readline()
                lines += line
                if line[3:4] != b"-":
                    return self._without_names(lines)

    async def command(self, line: bytes) -> bytes:
        await self.send(line + b"\r\n")
        return await self.reply()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(WAIT_AT_MOST):
            await self.writer.drain()

    async def rest(self) -> bytes:
        """Everything until the listener closes."""
        async with asyncio.timeout(WAIT_AT_MOST):
            try:
                return self._without_names(await self.reader.read())
            except ConnectionResetError:
                return b""

    def _without_names(self, replies: bytes) -> bytes:
        replies, names = split_names(replies)
        self.named += names
        return replies

    async def starttls(self, context: ssl.SSLContext) -> None:
        assert (await self.command(b"STARTTLS")).startswith(b"220 ")
        await self.writer.start_tls(context, server_hostname="localhost")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(WAIT_AT_MOST):
                await self.writer.wait_closed()


async def deliver(client: Client) -> None:
    """One message on a session that has said EHLO."""
    await client.send(ENVELOPE)
    for _ in range(3):
        assert (await client.reply())[:1] in b"23"
    await client.send(MESSAGE + b".\r\n")
    assert await client.reply() == DELIVERED


@contextlib.asynccontextmanager
async def scripted(
    replies: Mapping[bytes, bytes], greeting: bytes = b"220 hi\r\n", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A relay that answers each verb from `replies` (250 otherwise); `CLOSE` closes, `HANG` says nothing."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            while line := await reader.readline():
                verb = line.split()[0].upper().removesuffix(b":") if line.split() else b""
                reply = replies.get(verb, b"354 go\r\n" if verb == b"DATA" else b"250 ok\r\n")
                if reply == b"CLOSE":
                    return
                if reply == b"HANG":
                    await done.wait()
                    return
                writer.write(reply)
                if reply.startswith(b"354"):
                    await reader.readuntil(b"\r\n.\r\n")
                    writer.write(replies.get(b".", b"250 2.0.0 queued as 1\r\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()
        await server.wait_closed()
