"""The client for relays: hands one mail to the relay that is configured (Momentum `passthru`).

One connection for each message: relayed mail is the exception here, and a connection that is
not kept cannot go stale. A message goes to all of its recipients or to none.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import ssl
from collections.abc import Mapping, Sequence
from email.utils import formatdate

import aiosmtplib

from tubepost_api.config import PassthruConfig
from tubepost_dispatcher.reasons.catalogue import REASONS, refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Mailing, SessionFacts

MAX_RECEIVED = 100
"""Received: fields above which a message is considered to loop (RFC 5321 6.3)."""
MAX_REPLY = 200
"""Characters of the relay's reply that are kept."""
ACCEPTED = 250
"""The relay has taken the message."""

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3}) ?")
_RECEIVED = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_CONFIGURATION_CODES = frozenset({530, 534, 535, 538})
"""Replies that say that our account or TLS setting is wrong: not the mail's fault, so it is deferred."""


async def relay(
    config: PassthruConfig,
    auth: tuple[str, str] | None,
    mail_from: str,
    recipients: Sequence[str],
    content: Mailing,
    *,
    hostname: str,
    session: SessionFacts | None = None,
    message_id: str = "",
    smtputf8: bool = False,
    dsn: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """Send one message; the relay's answer as our own reply. Never raises but for cancellation.

    The reply's code is 250, 4xx (never 421, which would end our client's session) or 5xx. Its text says that
    it is the relay's, and is printable ASCII, one line, at most 200 characters.

    `mail_from` empty is the null sender. `hostname` is ours, for EHLO and the Received: field that is added
    with `session` (the client it came from) and `message_id`. `dsn` holds RET, ENVID, NOTIFY and ORCPT as
    they were given; they go on where the relay offers DSN (RFC 3461 5.2.2). `tls` overrides the context
    that `config` describes. Connecting and each reply take at most `config.timeout` seconds, all together
    at most four times that.
    """
    text = normalise(bytes(content))
    head = text.partition(b"\r\n\r\n")[0]
    if len(_RECEIVED.findall(head)) > MAX_RECEIVED:
        return refusal("MailLoop")
    needs_utf8 = smtputf8 and not (mail_from + "".join(recipients)).isascii()
    needs_utf8 = needs_utf8 or (smtputf8 and not head.isascii())
    text = received_field(hostname, session, message_id, smtputf8=needs_utf8) + text
    try:
        async with asyncio.timeout(4 * config.timeout):
            client = await _connect(config, auth, hostname, tls)
            try:
                return await _send(client, mail_from, recipients, text, needs_utf8=needs_utf8, dsn=dsn or {})
            finally:
                client.close()
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


def normalise(content: bytes) -> bytes:
    """`content` without NUL, every bare CR and bare LF as CRLF, CRLF at its end."""
    if b"\0" in content:
        content = content.replace(b"\0", b"")
    pairs = content.count(b"\r\n")
    if content.count(b"\r") != pairs or content.count(b"\n") != pairs:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return content if content.endswith(b"\r\n") else content + b"\r\n"


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
    config: PassthruConfig, auth: tuple[str, str] | None, hostname: str, tls: ssl.SSLContext | None
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
    recipients: Sequence[str],
    text: bytes,
    *,
    needs_utf8: bool,
    dsn: Mapping[str, str],
) -> Reply:
    offers = client.supports_extension
    if needs_utf8 and not offers("smtputf8"):
        return refusal("RelayNoSmtputf8")
    options = [f"SIZE={len(text)}"] if offers("size") else []
    if offers("8bitmime") and not text.isascii():
        options.append("BODY=8BITMIME")
    if needs_utf8:
        options.append("SMTPUTF8")
    notify: list[str] = []
    if offers("dsn"):
        options += [f"{key}={dsn[key]}" for key in ("RET", "ENVID") if key in dsn]
        notify = [f"{key}={dsn[key]}" for key in ("NOTIFY", "ORCPT") if key in dsn]
    # Not client.mail() and client.rcpt(): they parse the address again, and not by SMTP's grammar.
    response = await client.execute_command(b"MAIL", *_words(f"FROM:<{mail_from}>", options))
    if response.code != ACCEPTED:
        return _answer(response.code, response.message)
    for recipient in recipients:
        response = await client.execute_command(b"RCPT", *_words(f"TO:<{recipient}>", notify))
        if response.code not in (250, 251):
            return _answer(response.code, response.message)
    response = await client.execute_command(b"DATA")
    protocol = client.protocol
    if 200 <= response.code < 400 and (response.code != 354 or protocol is None):
        # A 250 here must not pass for the message's.
        return _refusal("RelayOutOfOrder", response.code)
    if response.code != 354 or protocol is None:
        return _answer(response.code, response.message)
    # Not client.data(): its two regular expressions hold the loop for a tenth of a second at 10 MB.
    protocol.write(_stuffed(text))
    response = await protocol.read_response(timeout=client.timeout)
    result = _answer(response.code, response.message)
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        # The relay has taken the message; what it answers to QUIT does not matter.
        await client.quit()
    return result


def _stuffed(text: bytes) -> bytes:
    """Normalised `text` as it follows DATA (RFC 5321 4.5.2); a trace field makes its first line."""
    return text.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _words(path: str, options: Sequence[str]) -> list[bytes]:
    return [path.encode(), *(option.encode() for option in options)]


def _refusal(reason: str, code: int) -> Reply:
    """A refusal that tells the relay's reply code which it is for."""
    reply = refusal(reason)
    return reply._replace(text=f"{reply.text}: {code}")


def _answer(code: int, message: str) -> Reply:
    """The relay's reply as ours."""
    line = message.replace("\r", " ").replace("\n", " ")
    line = "".join(c if " " <= c <= "~" else "?" for c in line)
    found = _ENHANCED.match(line)
    enhanced = found[1] if found else ""
    line = f"Relay: {line[found.end() :] if found else line}"[:MAX_REPLY].strip()
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
