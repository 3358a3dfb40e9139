"""The client for relays: hands one mail to the relay that is configured (Momentum `passthru`).

One connection for each message: relayed mail is the exception here, and a connection that is
not kept cannot go stale. A message goes to all of its recipients or to none.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.reasons.catalogue import REASONS, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.outgoing import clean_slices, stuffed_slices
from tubepost_dispatcher.text import hide_tokens
from tubepost_dispatcher.transaction import Mailing, SessionFacts

Recipients = Sequence[tuple[str, Mapping[str, str] | None]]
"""Addresses, each with its NOTIFY and ORCPT as they were given (RFC 3461)."""

MAX_RECEIVED = 50
"""Received: fields above which a message is considered to loop (RFC 5321 6.3), as many as Postfix's
hopcount_limit. Each turn of a loop holds a hand-over until the next one is answered. There have to be fewer
than one worker has at a time: where those run out first, the loop is a failure for now, and gone through
again."""
MAX_REPLY = 200
"""Characters of the relay's reply that are kept."""
_MAX_READ = 2_000
"""Characters of it that are looked at."""
ACCEPTED = 250
"""The relay has taken the message."""

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3}) ?")
_RECEIVED = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_CONFIGURATION_CODES = frozenset({530, 534, 535, 538})
"""Replies that say that our account or TLS setting is wrong: not the mail's fault, so it is deferred."""


@dataclass(slots=True)
class Progress:
    """How far a hand-over has come."""

    complete: bool = False
    """The end of the mail was sent: from here on the relay may have taken it."""
    withdrawn: bool = False
    """Its task was cancelled. In Python 3.11 wait_for forgets that when its result comes in that moment."""

    def go_on(self) -> None:
        """Raise CancelledError where the hand-over is withdrawn."""
        if self.withdrawn:
            raise asyncio.CancelledError


@dataclass(frozen=True, slots=True)
class _Mail:
    """What follows DATA, and what is said of it before."""

    trace: bytes
    content: Mailing
    size: int
    is_ascii: bool
    needs_utf8: bool
    dsn: Mapping[str, str]
    turn: asyncio.Lock


async def relay(
    config: RelayConfig,
    auth: tuple[str, str] | None,
    mail_from: str,
    recipients: Recipients,
    content: Mailing,
    *,
    hostname: str,
    session: SessionFacts | None = None,
    message_id: str = "",
    smtputf8: bool = False,
    dsn: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    progress: Progress | None = None,
    turn: asyncio.Lock | None = None,
) -> Reply:
    """Send one message; the relay's answer as our own reply. Never raises but for cancellation.

    The reply's code is 250, 4xx (never 421, which would end our client's session) or 5xx. Its text says that
    it is the relay's, and is printable ASCII, one line, at most 200 characters; our name and password are not
    in it, device tokens only in short form.

    `mail_from` empty is the null sender. `hostname` is ours, for EHLO and the Received: field that is added
    with `session` (the client it came from) and `message_id`. `dsn` holds RET and ENVID as they were given;
    like those of the recipients they go on where the relay offers DSN (RFC 3461 5.2.2). `tls` overrides the
    context that `config` describes. Connecting, each reply and each pause in the relay's reading take at most
    `config.timeout` seconds, all together at most four times that. `content` is read in slices, and not held
    in memory beyond them. `progress` tells how far it has come; until it is complete a cancelled hand-over
    has made no mail. `turn` is shared by the hand-overs of a loop: all together look at one slice in each of
    its turns.
    """
    head = next(clean_slices(content)).partition(b"\r\n\r\n")[0]
    if len(_RECEIVED.findall(head)) > MAX_RECEIVED:
        return refusal("MailLoop")
    needs_utf8 = smtputf8 and not (mail_from + "".join(to for to, _ in recipients)).isascii()
    needs_utf8 = needs_utf8 or (smtputf8 and not head.isascii())
    trace = received_field(hostname, session, message_id, smtputf8=needs_utf8)
    progress = progress or Progress()
    turn = turn or asyncio.Lock()
    try:
        async with asyncio.timeout(4 * config.timeout):
            size, is_ascii = await _measure(content, turn)
            client = await _connect(config, auth, hostname, tls)
            try:
                mail = _Mail(trace, content, len(trace) + size, is_ascii, needs_utf8, dsn or {}, turn)
                reply = await _send(client, mail_from, recipients, mail, progress)
            finally:
                _close(client)
        return _without_secrets(reply, auth)
    except (aiosmtplib.SMTPConnectResponseError, aiosmtplib.SMTPHeloError) as error:
        return _refusal("RelayRefusesConnections", error.code)
    except aiosmtplib.SMTPAuthenticationError:
        return refusal("RelayAuthFailed")
    except aiosmtplib.SMTPResponseException as error:
        return _refusal("RelayOutOfOrder", error.code)
    except TimeoutError:
        return refusal("RelayTimeout")
    except ssl.SSLError:
        return refusal("RelayTlsFailed")
    except (aiosmtplib.SMTPServerDisconnected, ConnectionResetError):
        return refusal("RelayConnectionLost")
    except (aiosmtplib.SMTPConnectError, OSError) as error:
        if isinstance(error.__cause__, ssl.SSLError):
            return refusal("RelayTlsFailed")
        return refusal("RelayUnreachable")
    except (aiosmtplib.SMTPException, ValueError):
        # STARTTLS or AUTH is configured and not offered, or a name cannot be put on the wire.
        return refusal("RelayCapabilityMissing")


async def _measure(content: Mailing, turn: asyncio.Lock) -> tuple[int, bool]:
    """Octets of the content as it will be sent, and whether all are ASCII."""
    size, is_ascii = 0, True
    for piece in clean_slices(content):
        size += len(piece)
        is_ascii = is_ascii and piece.isascii()
        await _turn(turn)
    return size, is_ascii


def received_field(hostname: str, session: SessionFacts | None, message_id: str, *, smtputf8: bool) -> bytes:
    """The trace field of our hop (RFC 5321 4.4, protocol types of RFC 3848 and RFC 6531)."""
    origin = ""
    protocol = "UTF8SMTP" if smtputf8 else "ESMTP"
    if session is not None:
        helo = _UNSAFE_NAME.sub("?", session.helo) or "unknown"
        address = session.remote_ip if ":" not in session.remote_ip else f"IPv6:{session.remote_ip}"
        origin = f"from {helo} ([{address}])\r\n\t"
        protocol += ("S" if session.tls else "") + ("A" if session.user else "")
    identity = f" id {message_id}" if message_id else ""
    date = formatdate(localtime=False)
    field = f"Received: {origin}by {hostname} with {protocol}{identity};\r\n\t{date}\r\n"
    return field.encode("ascii", "replace")


async def _connect(
    config: RelayConfig, auth: tuple[str, str] | None, hostname: str, tls: ssl.SSLContext | None
) -> aiosmtplib.SMTP:
    if config.tls != "None" and tls is None:
        # Reads the system's trust store from disk.
        tls = await asyncio.to_thread(_client_context, config.verify)
    client = aiosmtplib.SMTP(
        hostname=config.host,
        port=config.port,
        username=auth[0] if auth else None,
        password=auth[1] if auth else None,
        local_hostname=hostname,
        timeout=config.timeout,
        use_tls=config.tls == "Tls",
        start_tls=config.tls == "StartTls",
        tls_context=tls if config.tls != "None" else None,
    )
    try:
        await client.connect()
        if client.is_ehlo_or_helo_needed:
            try:
                await client.ehlo()
            except aiosmtplib.SMTPHeloError:
                await client.helo()
    except BaseException:
        client.close()
        raise
    return client


@functools.lru_cache(maxsize=2)
def _client_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _send(
    client: aiosmtplib.SMTP,
    mail_from: str,
    recipients: Recipients,
    mail: _Mail,
    progress: Progress,
) -> Reply:
    offers = client.supports_extension
    dsn = mail.dsn
    if mail.needs_utf8 and not offers("smtputf8"):
        return refusal("RelayNoSmtputf8")
    options = [f"SIZE={mail.size}"] if offers("size") else []
    if offers("8bitmime") and not mail.is_ascii:
        options.append("BODY=8BITMIME")
    if mail.needs_utf8:
        options.append("SMTPUTF8")
    if offers("dsn"):
        options += [f"{key}={dsn[key]}" for key in ("RET", "ENVID") if key in dsn]
    progress.go_on()
    # Not client.mail() and client.rcpt(): they parse the address again, and not by SMTP's grammar.
    response = await client.execute_command(b"MAIL", *_words(f"FROM:<{mail_from}>", options))
    if response.code != ACCEPTED:
        return _answer(response.code, response.message)
    for recipient, wishes in recipients:
        progress.go_on()
        notify = []
        if wishes and offers("dsn"):
            notify = [f"{key}={wishes[key]}" for key in ("NOTIFY", "ORCPT") if key in wishes]
        response = await client.execute_command(b"RCPT", *_words(f"TO:<{recipient}>", notify))
        if response.code not in (250, 251):
            return _answer(response.code, response.message)
    progress.go_on()
    response = await client.execute_command(b"DATA")
    protocol = client.protocol
    if 200 <= response.code < 400 and (response.code != 354 or protocol is None):
        # A 250 here must not pass for the message's.
        return _refusal("RelayOutOfOrder", response.code)
    if response.code != 354 or protocol is None:
        return _answer(response.code, response.message)
    response = await _send_content(protocol, mail, client.timeout, progress)
    if not progress.complete:
        # An answer before the end is none to the mail, unless it is a refusal.
        if response.code < 400:
            return _refusal("RelayOutOfOrder", response.code)
        return _answer(response.code, response.message)
    result = _answer(response.code, response.message)
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        # The relay has taken the message; what it answers to QUIT does not matter.
        await client.quit()
    return result


async def _send_content(
    protocol: SMTPProtocol, mail: _Mail, timeout: float | None, progress: Progress
) -> aiosmtplib.SMTPResponse:
    """Send the mail no faster than the relay reads, and wait for its answer, which may come before the end.

    Not client.data(): that copies the mail twice, and its regular expressions hold the loop.
    """
    reading = asyncio.ensure_future(protocol.read_response())
    try:
        try:
            progress.go_on()
            protocol.write(mail.trace)
            for piece in stuffed_slices(mail.content):
                await _room(protocol, mail.turn, timeout)
                progress.go_on()
                if reading.done():
                    break
                protocol.write(piece)
            else:
                await _room(protocol, mail.turn, timeout)
                progress.go_on()
                if not reading.done():
                    progress.complete = True
                    protocol.write(b".\r\n")
        except (aiosmtplib.SMTPServerDisconnected, OSError):
            # A relay that refuses early and closes the connection has said why.
            await asyncio.wait([reading], timeout=0)
            if not reading.done() or reading.exception() is not None:
                raise
        return await asyncio.wait_for(reading, timeout)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await reading


async def _turn(turn: asyncio.Lock) -> None:
    """Wait until this mail may have a slice looked at: all together have one in a turn of the loop."""
    async with turn:
        await asyncio.sleep(0)


async def _room(protocol: SMTPProtocol, turn: asyncio.Lock, timeout: float | None) -> None:
    """Wait until the relay has read most of what was written, and it is this mail's turn."""
    async with asyncio.timeout(timeout):
        await protocol._drain_helper()  # noqa: SLF001 - what StreamWriter.drain calls; it is made for that
    await _turn(turn)


def _close(client: aiosmtplib.SMTP) -> None:
    """Close the connection; what a relay that reads no more has not taken is thrown away."""
    # A cast, since uvloop's transports do not derive from asyncio's.
    transport = cast("asyncio.Transport | None", client.transport)
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
    client.close()


def _without_secrets(reply: Reply, auth: tuple[str, str] | None) -> Reply:
    """Take our name, our password and whole device tokens out of a text of the relay's, and bound it."""
    text = reply.text
    if auth is not None:
        user, password = auth
        secrets = {password, _base64(password), _base64(f"\0{user}\0{password}"), _base64(user)}
        for secret in sorted(secrets - {""}, key=len, reverse=True):
            text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
        if user:
            # Only as a word of its own: it may be as short as "app".
            text = re.sub(rf"(?<!\w){re.escape(user)}(?!\w)", "***", text, flags=re.IGNORECASE)
    return reply._replace(text=hide_tokens(text)[:MAX_REPLY].strip())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def _words(path: str, options: Sequence[str]) -> list[bytes]:
    return [path.encode(), *(option.encode() for option in options)]


def _refusal(reason: str, code: int) -> Reply:
    """A refusal that tells the relay's reply code which it is for."""
    reply = refusal(reason)
    return reply._replace(text=f"{reply.text}: {code}")


def _answer(code: int, message: str) -> Reply:
    """The relay's reply as ours."""
    line = message[:_MAX_READ].replace("\r", " ").replace("\n", " ")
    line = "".join(c if " " <= c <= "~" else "?" for c in line)
    found = _ENHANCED.match(line)
    enhanced = found[1] if found else ""
    line = f"Relay: {line[found.end() :] if found else line}".strip()
    if code == ACCEPTED:
        reason = ""
    elif 500 <= code <= 599 and code not in _CONFIGURATION_CODES:
        reason = "RelayRejected"
    else:
        reason = "RelayDeferred"
        if not 400 <= code <= 499 or code == 421:
            code = REASONS[reason].smtp_code
    if not enhanced.startswith(str(code)[0]):
        enhanced = f"{str(code)[0]}.0.0"
    return Reply(code, enhanced, line, reason)
