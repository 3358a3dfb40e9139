"""STARTTLS (RFC 3207): the handshake on a connection that is open already."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import NamedTuple

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
    client: str,
) -> Secured | None:
    """Make the server's side of a TLS handshake on `plain`, whose input is TLS from the first step on.

    `timeout` is in seconds, 0 means the loop's default. `protocol` gets the decrypted input. None when the
    handshake failed: that is logged with the address `client`, and the connection is reset.

    Not aiosmtpd's STARTTLS, which knows no time limit for the handshake and no uvloop.
    """
    try:
        transport = await loop.start_tls(
            plain, protocol, context, server_side=True, ssl_handshake_timeout=timeout or None
        )
    except OSError as error:
        log.info("TLS handshake with %s failed: %s", client, type(error).__name__)
        transport = None
    except Exception:
        log.exception("internal error in a session of %s", client)
        transport = None
    if transport is None:
        plain.abort()
        return None
    ssl_object: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return Secured(transport, (ssl_object.version() if ssl_object else None) or "TLS")
