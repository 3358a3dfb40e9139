"""STARTTLS (RFC 3207): the handshake on a connection that is open already."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import NamedTuple

GOODBYE = 1.0
"""Seconds that a client has to answer the end of TLS. Nobody needs its answer (RFC 8446, 6.1), and a client
that is not reading, such as an idle one when the dispatcher stops, gives none."""

log = logging.getLogger("tubepost.smtp")


class Secured(NamedTuple):
    """A connection after its handshake."""

    transport: asyncio.Transport
    version: str
    """TLS version as OpenSSL writes it, such as `TLSv1.3`."""


async def upgrade(
    loop: asyncio.AbstractEventLoop,
    plain: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    timeout: float,
    *,
    session: str,
) -> Secured | str:
    """Make the server's side of a TLS handshake on `plain`, whose input is TLS from the first step on.

    `timeout` is in seconds, 0 means the loop's default. `protocol` gets the decrypted input. A text when the
    handshake failed: why, for the log. The connection is reset then. `session` is the session's id.

    Not aiosmtpd's STARTTLS, which knows no time limit for the handshake and no uvloop.
    """
    try:
        transport = await loop.start_tls(
            plain,
            protocol,
            context,
            server_side=True,
            ssl_handshake_timeout=timeout or None,
            ssl_shutdown_timeout=GOODBYE,
        )
    except OSError as error:
        plain.abort()
        return why(error)
    except Exception:
        log.exception("session %s: internal error in STARTTLS", session)
        plain.abort()
        return "internal error"
    if transport is None:
        plain.abort()
        return "the connection was lost"
    ssl_object: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return Secured(transport, (ssl_object.version() if ssl_object else None) or "TLS")


def why(error: BaseException) -> str:
    """Why TLS or its connection failed, for the log: OpenSSL's own reason where it gave one."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, TimeoutError) or "taking longer" in str(error):
        return "the client did not finish it in time"
    if isinstance(error, ConnectionError):
        return "the client closed the connection"
    return str(error) or type(error).__name__
