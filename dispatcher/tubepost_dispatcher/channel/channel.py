"""One end of the line: length-prefixed messages over a Unix socket pair, requests with their answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from tubepost_dispatcher.channel.codec import Malformed, decode, encode
from tubepost_dispatcher.channel.messages import Envelope, Message

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of one message; a longer one ends the line."""

A = TypeVar("A")

_LOG = logging.getLogger("tubepost.channel")


class Channel(asyncio.Protocol):
    """One end of the line.

    Args:
        on_message: called for every message that comes, also for answers, with the number that `send` takes
            as `reply_to`; it is 0 when no answer is awaited.
        on_closed: called once at the end.
    """

    def __init__(self, on_message: Callable[[Message, int], None], on_closed: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._requests = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._failure: Exception | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not subclasses

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > MAX_MESSAGE:
                self.close()
                return
            if len(self._buffer) < 4 + size:
                return
            frame = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            try:
                envelope = decode(frame)
            except Malformed as error:
                _LOG.error("a message was %s", error)
                self._buffer.clear()
                self.close()
                return
            self._take(envelope)

    def _take(self, envelope: Envelope) -> None:
        self._on_message(envelope.message, envelope.request)
        waiter = self._waiting.get(envelope.reply_to)
        if waiter is not None and not waiter.done():
            waiter.set_result(envelope.message)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self.closed = True
        self._on_closed()

    def send(self, message: Message, *, reply_to: int = 0) -> None:
        """Send one message; silently nothing once the other side has gone (its end is noticed apart)."""
        self._send(Envelope(message, reply_to=reply_to))

    async def request(self, message: Message, answer: type[A], timeout: float | None) -> A:
        """Send a message and await its answer; several may be awaited at a time.

        Args:
            message: the request.
            answer: the type of message that answers it.
            timeout: seconds; None for no limit.

        Raises:
            TimeoutError: there was no answer in time.
            Malformed: the answer was of another type.
            Exception: what `fail` was called with.
        """
        if self._failure is not None:
            raise self._failure
        self._requests = number = self._requests + 1
        waiter: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiter
        try:
            self._send(Envelope(message, request=number))
            async with asyncio.timeout(timeout):
                found = await waiter
        finally:
            del self._waiting[number]
        if not isinstance(found, answer):
            raise Malformed(f"{type(found).__name__} is no answer to {type(message).__name__}")
        return found

    def fail(self, error: Exception) -> None:
        """The other side answers no more: all requests, those to come too, raise this."""
        self._failure = error
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(error)

    def _send(self, envelope: Envelope) -> None:
        if self._transport is None or self.closed:
            return
        data = encode(envelope)
        self._transport.write(len(data).to_bytes(4, "big") + data)

    def close(self) -> None:
        """Close the line after what was sent."""
        if self._transport is not None:
            self._transport.close()
