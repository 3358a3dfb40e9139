"""The commands that may take their time: STARTTLS and AUTH, and what they need of aiosmtpd.

`ColdCommands` is an aiosmtpd `SMTP` whose stream reader, client task and command loop are never started.
aiosmtpd's constructor inspects every member of the class, so it runs at the first AUTH of a session only.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.transaction import SessionFacts

log = logging.getLogger("tubepost.smtp")

# aiosmtpd writes what a client sent in an AUTH exchange to this logger at level DEBUG.
logging.getLogger("mail.log").setLevel(logging.WARNING)

MAX_AUTH_LINE = 12_288
"""Octets of one line of an AUTH exchange (RFC 4954 4)."""
MAX_AUTH_FAILURES = 3
"""Failed authentications after which a session ends."""

COMMAND, DATA, WAIT, COLD, YIELD, CLOSING = range(6)
"""States of a session: reading commands, reading a message, waiting for `Transaction.reply`, running a cold
command, giving other sessions a turn, closing. Input is held back from `WAIT` on."""


class ClientSession(Session):
    """aiosmtpd's session, without the deprecation warning that it logs at each AUTH."""

    login_data: Any = None
    auth_data: Any
    peer: Any


class _LineTooLong(Exception):
    """A client sends an endless line in an AUTH exchange."""


class _Lines:
    """What aiosmtpd's AUTH methods read from, in place of a StreamReader."""

    __slots__ = ("_session",)

    def __init__(self, session: ColdCommands) -> None:
        self._session = session

    async def readline(self) -> bytes:
        return await self._session._next_line()  # noqa: SLF001 - the session's own helper


class ColdCommands(SMTP):
    """STARTTLS and AUTH of a session, each run in a task while input is held back."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    session: ClientSession
    transport: Any
    _reader: Any

    def __init__(self, listener: ListenerState, loop: asyncio.AbstractEventLoop) -> None:
        # Not super().__init__(): see the module's docstring and `_prepare_auth`.
        self.loop = loop
        self.transport = None
        self.session = ClientSession(loop)
        self.envelope = None
        self._listener = listener
        self._config: EffectiveConfig = listener.config
        self._facts = SessionFacts("", 0)
        self._state = CLOSING
        self._secure = False
        self._handshaking = False
        self._prepared = False
        self._in = b""
        """Input not yet looked at."""
        self._out: list[bytes] = []
        """Replies not yet written."""
        self._last = listener.now
        self._task: asyncio.Task[None] | None = None
        self._line_waiter: asyncio.Future[None] | None = None
        self._auth_failures = 0
        self._user_digest: bytes | None = None

    @abstractmethod
    def _flush(self) -> None: ...

    @abstractmethod
    def _error(self, reply: bytes, stage: str) -> None: ...

    @abstractmethod
    def _resume(self) -> None: ...

    @abstractmethod
    def _forget(self) -> None: ...

    @abstractmethod
    def _update_gate(self) -> None: ...

    def _start_cold(self, command: Coroutine[Any, Any, None]) -> None:
        self._state = COLD
        self._task = self.loop.create_task(self._run_cold(command))

    async def _run_cold(self, command: Coroutine[Any, Any, None]) -> None:
        try:
            await command
        except asyncio.CancelledError:
            # The session has ended; whoever ended it has cleaned up.
            return
        except _LineTooLong:
            self._error(replies.AUTH_LINE_TOO_LONG, "auth")
            self._state = CLOSING
        except Exception:
            log.exception("internal error in a session of %s", self._facts.remote_ip)
            self._error(replies.OUR_FAULT, "command")
        self._task = None
        if self._state == COLD:
            self._state = COMMAND
            self._resume()
        else:
            self._flush()

    async def push(self, status: str | bytes) -> None:
        """Send a reply of aiosmtpd's and count it when it is a refusal."""
        reply = (status.encode() if isinstance(status, str) else status) + b"\r\n"
        if reply[:1] in b"45":
            self._error(reply, "auth")
        else:
            self._out.append(reply)
        self._flush()

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Upgrade to TLS (RFC 3207); replaces aiosmtpd's, which knows no handshake timeout and no uvloop."""
        del arg
        tls = self._config.tls
        assert tls is not None
        plain = self.transport
        # What was sent before the handshake is an injection (RFC 3207 6): gone before TLS reads anything.
        # No turn of the loop lies between this, the 220 and start_tls taking over the input.
        self._in = b""
        self._forget()
        self._out.append(replies.READY_FOR_TLS)
        self._flush()
        self._handshaking = True
        try:
            secure = await self.loop.start_tls(
                plain,
                self,
                tls,
                server_side=True,
                ssl_handshake_timeout=self._config.limits.tls_handshake_timeout or None,
            )
        except OSError as error:
            log.info("TLS handshake with %s failed: %s", self._facts.remote_ip, type(error).__name__)
            self._state = CLOSING
            plain.abort()
            # asyncio does not tell the protocol of a connection that ended before its handshake; uvloop does.
            self.connection_lost(None)
            return
        self._handshaking = False
        if self._state != COLD:
            if secure is not None:
                secure.abort()
            return
        self.transport = secure
        self._secure = True
        session = self.session = ClientSession(self.loop)
        session.peer = (self._facts.remote_ip, self._facts.remote_port)
        ssl_object: ssl.SSLObject | None = secure.get_extra_info("ssl_object") if secure else None
        session.ssl = {"ssl_object": ssl_object}
        version = (ssl_object.version() if ssl_object else None) or "TLS"
        self._facts = SessionFacts(self._facts.remote_ip, self._facts.remote_port, tls=version)
        self._user_digest = None
        self._update_gate()
        self._last = self._listener.now

    async def _authenticate_client(self, argument: str) -> None:
        self._prepare_auth()
        mechanism, _, initial = argument.partition(" ")
        # RFC 4954 4: `=` stands for an initial response of no octets, which no mechanism here can use.
        # aiosmtpd wants the mechanism in capitals.
        await self.smtp_AUTH(f"{mechanism.upper()} {initial}".strip())
        if not self.session.authenticated:
            if self._auth_failures >= MAX_AUTH_FAILURES and self._state == COLD:
                self._error(replies.TOO_MANY_AUTH_FAILURES, "auth")
                self._state = CLOSING
            return
        login = self.session.auth_data.login
        facts = self._facts
        self._facts = SessionFacts(
            facts.remote_ip,
            facts.remote_port,
            helo=facts.helo,
            tls=facts.tls,
            user=login.decode("utf-8", "replace"),
        )
        self._user_digest = self._config.users.get(login)
        self._update_gate()

    def _prepare_auth(self) -> None:
        if self._prepared:
            return
        self._prepared = True
        session, transport = self.session, self.transport
        # `auth_required` and `auth_require_tls` are checked before aiosmtpd is asked.
        SMTP.__init__(
            self,
            None,
            enable_SMTPUTF8=True,
            hostname=self._config.hostname,
            auth_require_tls=False,
            authenticator=self._check_login,
            loop=self.loop,
        )
        self.session, self.transport, self.envelope = session, transport, Envelope()
        self._reader = _Lines(self)

    def _check_login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        del server, session, envelope, mechanism
        if self._config.password_matches(login.login, login.password):
            # The session keeps this; it need not keep the password.
            return AuthResult(success=True, auth_data=LoginPassword(login.login, b""))
        self._auth_failures += 1
        return AuthResult(success=False, handled=False)

    async def _next_line(self) -> bytes:
        while True:
            end = self._in.find(b"\n")
            if end > MAX_AUTH_LINE or (end < 0 and len(self._in) > MAX_AUTH_LINE):
                raise _LineTooLong
            if end >= 0:
                line, self._in = self._in[: end + 1], self._in[end + 1 :]
                self._last = self._listener.now
                return line
            self._line_waiter = self.loop.create_future()
            try:
                await self._line_waiter
            finally:
                self._line_waiter = None
