"""A connection to NATS that comes back by itself, and requests that outlive it. Callbacks on one event loop.

A request is sent again, unchanged, until it is answered or its time is over: whoever makes it sees to it that
it may arrive twice. No task per request: one sends, the client's own receive.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings

_LOG = logging.getLogger("tubepost.store")

CONNECT: Final = 3.0
"""Seconds that a server has to answer a new connection."""
RESEND: Final = 3.0
"""Seconds after which a request is sent once more."""
LOOK: Final = 0.25
"""Seconds between two looks for requests that were not answered."""
PAUSES: Final = (0.1, 0.5, 1.0, 2.0)
"""Seconds between rounds of attempts to connect."""
PING: Final = 5.0
"""Seconds between pings; two that are not answered end a connection."""
WATCH: Final = 1.0
"""Seconds between two looks whether it is still there."""
DRAIN: Final = 5.0
"""Seconds for answers on a connection that another one has replaced."""
_UNAVAILABLE: Final = b'"code":503'
"""In an answer of the JetStream API: there is no leader at present."""
_SHORT: Final = 1_024
"""Bytes that such an answer has at most."""


class Message(NamedTuple):
    """One message of an answer."""

    headers: Mapping[str, str]
    data: bytes


class Answer(NamedTuple):
    """What came of a request."""

    messages: list[Message]
    """Empty: it was not answered in time, or told that nobody is there."""
    sent: int
    """How often it was sent: with more than once the server may have done it before it answered."""

    @property
    def json(self) -> dict[str, Any] | None:
        """Of the JetStream API; None: there was no answer, or none that can be read."""
        if not self.messages:
            return None
        try:
            found = orjson.loads(self.messages[-1].data)
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None


class _Request:
    __slots__ = ("deadline", "done", "due", "got", "headers", "many", "payload", "sent", "subject")

    def __init__(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str] | None,
        done: Callable[[Answer], None],
        deadline: float,
        *,
        many: bool,
    ) -> None:
        self.subject = subject
        self.payload = payload
        self.headers = headers
        self.done = done
        self.deadline = deadline
        self.many = many
        self.got: list[Message] = []
        self.sent = 0
        self.due = 0.0
        """When it is sent again; infinite: it is about to be sent."""


class Link:
    """Lives on one event loop; every method is called on it, and every callback.

    Args:
        settings: of the servers.
        loop: runs it.
    """

    def __init__(self, settings: JetStreamSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._up: Callable[[Mapping[str, Any]], None] = lambda _: None
        self._down: Callable[[str], None] = lambda _: None
        self._client: Client | None = None
        self._inbox = ""
        self._tokens = itertools.count(1)
        self._waiting: dict[str, _Request] = {}
        self._out: deque[str] = deque()
        """Tokens of what is to be sent."""
        self._wake = asyncio.Event()
        self._lost = asyncio.Event()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._old: set[Client] = set()
        """Connections that others have replaced, and that may have something to answer."""
        self._said = ""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._client is not None

    def start(self, up: Callable[[Mapping[str, Any]], None], down: Callable[[str], None]) -> None:
        """Connect, and go on doing so.

        Args:
            up: told when there is a connection, with what the server says of itself.
            down: told why there is none any more, or none yet.
        """
        self._up, self._down = up, down
        self._run(self._keep_connected())
        self._run(self._pump())

    def renew(self, settings: JetStreamSettings, *, again: bool = True) -> None:
        """From now on connect with these, and `again` at once: the old one goes when it has answered."""
        self._settings = settings
        if again:
            self._lost.set()

    def request(
        self,
        subject: str,
        payload: bytes,
        done: Callable[[Answer], None],
        *,
        patience: float,
        headers: dict[str, str] | None = None,
        many: bool = False,
    ) -> None:
        """Ask, and call back once, in a later turn.

        Args:
            subject: whom.
            payload: what.
            done: hears the answer, or that there was none in time.
            patience: seconds.
            headers: sent with it.
            many: the answer has more than one message, and ends with a status.
        """
        token = f"{next(self._tokens):x}"
        one = _Request(subject, payload, headers, done, self._loop.time() + patience, many=many)
        one.due = float("inf")
        self._waiting[token] = one
        self._out.append(token)
        self._wake.set()
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK, self._look)

    async def close(self) -> None:
        """End; what was not answered is answered so."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        client, self._client = self._client, None
        for one in (*self._old, *((client,) if client is not None else ())):
            await _close(one)
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            self._tell(one, Answer([], one.sent))

    # -- connecting -----------------------------------------------------------------------------------

    def _run(self, work: Any) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_connected(self) -> None:
        tries = 0
        while not self._closed:
            self._lost.clear()
            try:
                client, inbox = await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is: it is said, and tried again
                self._told_down(_words(error))
                pause = PAUSES[min(tries, len(PAUSES) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
                tries += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._lost.wait()
                continue
            tries, self._said = 0, ""
            old, self._client, self._inbox = self._client, client, inbox
            if old is not None and not old.is_closed:
                self._run(self._drain(old))
            self._up(client._server_info)  # noqa: SLF001 - the client shows the version of it only
            self._send_again()
            await self._lost_or_renewed(client)
            if self._client is client and not client.is_connected:
                self._client = None
                await _close(client)
                self._told_down("the connection to NATS was lost")

    async def _lost_or_renewed(self, client: Client) -> None:
        """Wait; one that was cut before it was ours has told nobody."""
        while client.is_connected and not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH):
                    await self._lost.wait()

    async def _connect(self) -> tuple[Client, str]:
        settings = self._settings
        identity = settings.identity
        trouble: Exception = OSError("no server is configured")
        for server in random.sample(settings.servers, len(settings.servers)):
            client, errors = Client(), _Errors()
            values: dict[str, Any] = {}
            if identity.user:
                values |= {"user": identity.user, "password": identity.password}
            if (key := identity.key) is not None:
                # Its own ways need another package for the same signature.
                client._auth_configured = True  # noqa: SLF001
                client._public_nkey = None if key.token else key.public  # noqa: SLF001
                values["signature_cb"] = key.sign
                if key.token:
                    values["user_jwt_cb"] = partial(bytearray, key.token.encode())
            if settings.tls is not None:
                values["tls"] = settings.tls
            try:
                async with asyncio.timeout(CONNECT + 1.0):
                    await client.connect(
                        [server],
                        name="tubepost",
                        allow_reconnect=False,
                        connect_timeout=CONNECT,  # type: ignore[arg-type]
                        ping_interval=PING,  # type: ignore[arg-type]
                        max_outstanding_pings=2,
                        error_cb=errors.heard,
                        closed_cb=partial(self._client_closed, client),
                        **values,
                    )
                    inbox = client.new_inbox()
                    await client.subscribe(f"{inbox}.*", cb=self._heard)
            except (OSError, nats.errors.Error, TimeoutError) as error:
                trouble = error
                await _close(client)
                continue
            errors.connecting = False
            return client, inbox
        raise trouble

    async def _client_closed(self, client: Client) -> None:
        if client is self._client:
            self._lost.set()

    async def _drain(self, client: Client) -> None:
        self._old.add(client)
        await asyncio.sleep(DRAIN)
        self._old.discard(client)
        await _close(client)

    def _told_down(self, why: str) -> None:
        if why != self._said:
            self._said = why
            _LOG.error("queue: NATS at %s: %s", ", ".join(self._settings.servers), why)
        self._down(why)

    # -- asking ---------------------------------------------------------------------------------------

    def _send_again(self) -> None:
        """On a new connection: everything that was not answered."""
        self._out = deque(self._waiting)
        self._wake.set()

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._out and (client := self._client) is not None:
                token = self._out.popleft()
                one = self._waiting.get(token)
                if one is None:
                    continue
                one.sent += 1
                one.got = []
                one.due = self._loop.time() + RESEND
                try:
                    await client.publish(
                        one.subject, one.payload, f"{self._inbox}.{token}", headers=one.headers
                    )
                except nats.errors.MaxPayloadError:
                    self._waiting.pop(token, None)
                    self._tell(one, Answer([], one.sent))
                except (OSError, nats.errors.Error, asyncio.InvalidStateError):
                    one.due = 0.0
                    break

    async def _heard(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        one = self._waiting.get(token)
        if one is None:
            return
        headers = message.headers or {}
        status = headers.get("Status", "")
        if status == "503":
            # Nobody is there at present: a stream that is moving, or no JetStream yet.
            one.due = self._loop.time() + LOOK
            one.sent -= 1
            return
        if not one.many and len(message.data) < _SHORT and _UNAVAILABLE in message.data:
            one.due = self._loop.time() + LOOK
            return
        one.got.append(Message(headers, message.data))
        if not one.many or status:
            del self._waiting[token]
            self._tell(one, Answer(one.got, one.sent))

    def _look(self) -> None:
        """Send again what was not answered, and give up what has waited for too long."""
        now = self._loop.time()
        for token, one in list(self._waiting.items()):
            if one.deadline <= now:
                del self._waiting[token]
                self._tell(one, Answer([], one.sent))
            elif one.due <= now and self._client is not None:
                one.due = float("inf")
                self._out.append(token)
        if self._out:
            self._wake.set()
        self._timer = self._loop.call_later(LOOK, self._look) if self._waiting else None

    def _tell(self, one: _Request, answer: Answer) -> None:
        try:
            one.done(answer)
        except Exception:  # noqa: BLE001 - one caller's fault must not keep the others from hearing
            _LOG.exception("queue: a callback failed")


async def _close(client: Client) -> None:
    """Close a connection, whatever its other end does."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1.0):
            await client.close()
    # One that was cut, or refused, leaves its socket open.
    writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001
    if writer is not None:
        writer.transport.abort()
        await asyncio.sleep(0)


class _Errors:
    """What a client says of itself."""

    def __init__(self) -> None:
        self.connecting = True

    async def heard(self, error: Exception) -> None:
        """One attempt to connect is one: the client would go on. Later, who waits for an answer finds out."""
        if self.connecting:
            raise error


def _words(error: Exception) -> str:
    """Of a failure, for a log: what the client raises has no secrets in it."""
    if isinstance(error, TimeoutError | nats.errors.TimeoutError):
        return "it does not answer"
    text = str(error) or type(error).__name__
    return "it refuses the credentials" if "authorization" in text.lower() else f"cannot connect: {text}"
