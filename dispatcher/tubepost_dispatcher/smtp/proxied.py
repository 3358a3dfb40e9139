"""A connection that may come through a load balancer: its PROXY header is read before the session begins.

The header is asked of every peer in `proxyProtocol.trustedNetworks`, and of nobody else: whoever could send
one unasked could choose an address.
"""

from __future__ import annotations

import asyncio
from typing import Final, Generic, cast

from tubepost_dispatcher.smtp import journal, replies
from tubepost_dispatcher.smtp.config import printable_address
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.proxy_header import MalformedHeader, read_header
from tubepost_dispatcher.smtp.session import SmtpSession
from tubepost_dispatcher.transaction import DomainT

HEADER_TIMEOUT: Final = 5.0
"""Seconds for the header, which a load balancer sends at once."""
MAX_WAITING: Final = 1_000
"""Connections of one worker that may wait for their header."""


class ProxiedConnection(asyncio.Protocol, Generic[DomainT]):
    """Until it is known who the client is; then a session takes its place."""

    __slots__ = ("_data", "_listener", "_loop", "_peer", "_timer", "_transport")

    _transport: asyncio.Transport

    def __init__(self, listener: ListenerState[DomainT], loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._data = b""
        self._peer = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header where one has to come."""
        # A cast, since uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._peer, port = printable_address(transport.get_extra_info("peername"))
        if not self._listener.config.proxies(self._peer):
            self._hand_over(self._peer, port, b"")
        elif self._listener.awaiting_header >= MAX_WAITING:
            self._refuse(replies.OVERLOADED, "too many connections without a PROXY header")
        else:
            self._listener.awaiting_header += 1
            self._timer = self._loop.call_later(HEADER_TIMEOUT, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Read the header, and let the session begin."""
        if self._timer is None:
            return  # refused
        self._data += data
        try:
            header = read_header(self._data)
        except MalformedHeader as error:
            self._refuse(replies.PROXY_HEADER_EXPECTED, str(error))
            return
        if header is None:
            return
        _, port = printable_address(self._transport.get_extra_info("peername"))
        rest = self._data[header.size :]
        self._hand_over(header.address or self._peer, header.port if header.address else port, rest)

    def eof_received(self) -> bool:
        """Without a header there is nobody to answer."""
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """A check whether the port is open, most likely."""
        self._done()

    def _hand_over(self, address: str, port: int, rest: bytes) -> None:
        self._done()
        session: SmtpSession[DomainT] = SmtpSession(self._listener, self._loop)
        session.peer = (address, port)
        self._transport.set_protocol(session)
        session.connection_made(self._transport)
        if rest:
            session.data_received(rest)

    def _too_late(self) -> None:
        self._refuse(replies.PROXY_HEADER_EXPECTED, f"no PROXY header within {HEADER_TIMEOUT:g} s")

    def _refuse(self, reply: bytes, detail: str) -> None:
        self._done()
        listener = self._listener
        listener.refused("connect", replies.code(reply))
        session = listener.session_ids.next()
        journal.refused(session, self._peer, "connect", replies.reason(reply), replies.text(reply), detail)
        self._transport.write(reply)
        self._transport.close()

    def _done(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._listener.awaiting_header -= 1
        self._data = b""
