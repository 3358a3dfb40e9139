"""AUTH (RFC 4954) by aiosmtpd's mechanisms, a line at a time and without I/O.

A mechanism of aiosmtpd is a coroutine that pushes replies and awaits the client's lines. No task runs it
here: it is stepped from one line to the next as lines arrive, and what it pushes is handed back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tubepost_dispatcher.smtp import replies

# aiosmtpd writes what a client sent in an AUTH exchange to this logger at level DEBUG.
logging.getLogger("mail.log").setLevel(logging.WARNING)

MAX_AUTH_LINE = 12_288
"""Octets of one line of an AUTH exchange (RFC 4954 4)."""
MAX_AUTH_FAILURES = 3
"""Failed authentications after which a session ends."""
MECHANISMS = frozenset({b"PLAIN", b"LOGIN"})

_REFUSALS = {
    "535 5.7.8 Authentication credentials invalid": replies.AUTH_FAILED,
    "501 5.5.2 Can't decode base64": replies.AUTH_NOT_BASE64,
    "501 5.5.2 Can't split auth value": replies.AUTH_MALFORMED,
    "501 5.7.0 Auth aborted": replies.AUTH_ABORTED,
}
"""What aiosmtpd's mechanisms push, and the rows of the catalogue that say it."""

Check = Callable[[bytes, bytes], bool]
"""Whether this name has this password."""


class Authentication:
    """The AUTH exchanges of one session, one after the other.

    Make it at the first AUTH: aiosmtpd's constructor inspects every member of its class.
    """

    __slots__ = ("_exchange", "_mechanisms", "failures", "user")

    def __init__(self, hostname: str, loop: asyncio.AbstractEventLoop) -> None:
        self._mechanisms = _Mechanisms(hostname, loop)
        self._exchange: Coroutine[None, bytes | None, None] | None = None
        self.failures = 0
        """Exchanges that ended with a wrong name or password."""
        self.user: bytes | None = None
        """The name that the last exchange proved; None when it failed or goes on."""

    @property
    def tried(self) -> bytes:
        """The name that the last exchange asked about."""
        return self._mechanisms.tried

    @property
    def pending(self) -> bool:
        """The exchange goes on: the client's next line belongs to it."""
        return self._exchange is not None

    def start(self, mechanism: str, initial: str, check: Check) -> list[bytes]:
        """Begin an exchange; the replies that it sends. `initial` is the initial response, empty without."""
        self.user = None
        self._exchange = self._mechanisms.begin(f"{mechanism} {initial}".rstrip(), check)
        return self._step(None)

    def advance(self, line: bytes) -> list[bytes]:
        """Go on with a line of the client's; the replies to it."""
        return self._step(line)

    def abandon(self) -> None:
        """The session has ended, perhaps amid an exchange."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()

    def _step(self, line: bytes | None) -> list[bytes]:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        mechanisms = self._mechanisms
        try:
            exchange.send(line)
        except StopIteration:
            self.user = mechanisms.proved
            self.failures += mechanisms.failed
        else:
            self._exchange = exchange
        return mechanisms.take_replies()


class _Mechanisms(SMTP):
    """aiosmtpd's PLAIN and LOGIN. Its stream reader, client task and command loop are never started."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    _reader: Any

    def __init__(self, hostname: str, loop: asyncio.AbstractEventLoop) -> None:
        # `commands` has checked that AUTH is offered, and allowed at this point.
        super().__init__(
            None,
            enable_SMTPUTF8=True,
            hostname=hostname,
            auth_require_tls=False,
            authenticator=self._authenticated,
            loop=loop,
        )
        self._reader = _Lines()
        self._check: Check = _nobody
        self._pushed: list[bytes] = []
        self.failed = False
        self.proved: bytes | None = None
        self.tried = b""

    def begin(self, argument: str, check: Check) -> Coroutine[None, bytes | None, None]:
        session = self.session = _AuthSession(self.loop)
        # For smtp_AUTH's own check of the order of commands.
        session.host_name, session.extended_smtp = "client", True
        self.envelope = Envelope()
        self._check = check
        self.failed, self.proved = False, None
        self._pushed = []
        exchange: Coroutine[None, bytes | None, None] = self.smtp_AUTH(argument)
        return exchange

    def take_replies(self) -> list[bytes]:
        pushed, self._pushed = self._pushed, []
        return pushed

    async def push(self, status: str | bytes) -> None:
        """Keep a reply of aiosmtpd's for `take_replies`."""
        if isinstance(status, bytes):
            line = status + b"\r\n"
        else:
            line = _REFUSALS.get(status) or status.encode() + b"\r\n"
        self._pushed.append(line)

    def _authenticated(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        del server, session, envelope, mechanism
        self.tried = login.login
        if self._check(login.login, login.password):
            self.proved = login.login
            # aiosmtpd's session keeps this; it need not keep the password.
            return AuthResult(success=True, auth_data=LoginPassword(login.login, b""))
        self.failed = True
        return AuthResult(success=False, handled=False)


class _AuthSession(Session):
    """aiosmtpd's session, without the deprecation warning that it logs at each AUTH."""

    login_data: Any = None


class _NextLine:
    """Suspends a mechanism until its next line is sent in."""

    def __await__(self) -> Generator[None, bytes, bytes]:
        return (yield)


class _Lines:
    """What the mechanisms read from, in place of a StreamReader."""

    async def readline(self) -> bytes:
        return await _NextLine()


def _nobody(name: bytes, password: bytes) -> bool:
    del name, password
    return False
