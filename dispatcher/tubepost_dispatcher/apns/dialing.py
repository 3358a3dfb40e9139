"""Opening a connection: name resolution, addresses, the CONNECT proxy, TLS; errors as reasons of ours."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from tubepost_dispatcher.text import foreign
from tubepost_runtime.addresses import with_port

MAX_PROXY_ANSWER = 8192
"""Bytes of a proxy's answer to CONNECT that are read."""
LEAST_PER_ADDRESS = 1.0
"""Seconds that each address gets at least, as long as the whole time lasts."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")

P = TypeVar("P", bound=asyncio.Protocol)


class DialError(Exception):
    """A connection could not be opened. `reason` is one of `reasons.delivery.DELIVERY_REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP CONNECT proxy. `authorization` is the header's value, empty for none."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Forms in which a proxy may say the password back: as sent, and decoded."""
        encoded = self.authorization.removeprefix("Basic ")
        try:
            plain = base64.b64decode(encoded).decode()
        except ValueError:  # made here, so it never happens; nothing is lost if it does
            plain = ""
        return self.authorization, encoded, plain, plain.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to, and how."""

    host: str
    port: int
    context: ssl.SSLContext
    proxy: Proxy | None = None


def parse_proxy(url: str, auth: str | None) -> Proxy:
    """Read `http://[user:password@]host:port`; `auth` (`user:password`) wins over what is in the URL.

    Raises:
        ValueError: not such a URL. It is not quoted, since it may contain a password.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise ValueError("a proxy is given as http://host:port")
    if auth is None and parts.username is not None:
        auth = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    if not auth:
        return Proxy(parts.hostname, port)
    return Proxy(parts.hostname, port, "Basic " + base64.b64encode(auth.strip().encode()).decode("ascii"))


async def dial(
    loop: asyncio.AbstractEventLoop,
    target: Target,
    factory: Callable[[], P],
    timeout: float,
    assumed: Callable[[], None] = lambda: None,
) -> P:
    """Open TCP (through the proxy where there is one) and TLS, and check that HTTP/2 was agreed on.

    The name is resolved anew each time, its addresses are tried in random order. `timeout` is in seconds,
    for all of it. A server that chooses no protocol by ALPN may speak HTTP/2 all the same (RFC 9113, section
    3.3: prior knowledge), as some stand-ins for APNs and some proxies do: `assumed` is called, and the first
    bytes will tell.

    Raises:
        DialError: no connection.
    """
    try:
        async with asyncio.timeout(timeout):
            sock = await _tcp(loop, target, timeout)
            if target.proxy is not None:
                try:
                    await _through(loop, sock, target, target.proxy)
                except BaseException:
                    sock.close()
                    raise
            # From here on the socket belongs to the transport, which closes it.
            protocol, alpn = await _tls(loop, sock, target, factory, timeout)
    except TimeoutError:
        raise DialError("ConnectTimeout", f"no connection to {_where(target)} in {timeout:g} s") from None
    if not alpn:
        assumed()
    return protocol


def _where(target: Target) -> str:
    proxy = target.proxy
    through = f" through {with_port(proxy.host, proxy.port)}" if proxy else ""
    return with_port(target.host, target.port) + through


async def _tcp(loop: asyncio.AbstractEventLoop, target: Target, timeout: float) -> socket.socket:
    host, port = (target.proxy.host, target.proxy.port) if target.proxy else (target.host, target.port)
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DialError("ConnectFailed", f"cannot resolve {host}: {_text(error)}") from None
    random.shuffle(found)
    deadline = loop.time() + timeout
    problem = "no address"
    for place, (family, kind, protocol, _, address) in enumerate(found):
        # One unresponsive address must not use up the time of the others.
        fair = max(LEAST_PER_ADDRESS, (deadline - loop.time()) / (len(found) - place))
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # an address family that this machine lacks
            problem = f"{address[0]}: {_text(error)}"
            continue
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(fair):
                await loop.sock_connect(sock, address)
        except TimeoutError:
            sock.close()
            if loop.time() >= deadline:
                raise
            problem = f"{address[0]}: no answer"
        except OSError as error:
            sock.close()
            problem = f"{address[0]}: {_text(error)}"
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise DialError("ConnectFailed", f"{with_port(host, port)}: {problem}")


async def _through(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, target: Target, proxy: Proxy
) -> None:
    name, where = with_port(target.host, target.port), with_port(proxy.host, proxy.port)
    request = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n"
    if proxy.authorization:
        request += f"Proxy-Authorization: {proxy.authorization}\r\n"
    answer = b""
    try:
        await loop.sock_sendall(sock, (request + "\r\n").encode("ascii"))
        # This cannot read into the TLS stream: in TLS the client speaks first.
        while b"\r\n\r\n" not in answer:
            data = await loop.sock_recv(sock, MAX_PROXY_ANSWER - len(answer))
            if not data or len(answer) + len(data) >= MAX_PROXY_ANSWER:
                raise DialError("ProxyRefused", f"{where}: no whole answer to CONNECT")
            answer += data
    except OSError as error:
        raise DialError("ProxyRefused", f"{where}: {_text(error)}") from None
    status = _STATUS_LINE.match(answer)
    if status is None or not status.group(1).startswith(b"2"):
        said = b" ".join(part for part in status.groups() if part).decode("latin-1") if status else "no HTTP"
        said = foreign(said, *proxy.secrets)
        raise DialError("ProxyRefused", f"{where}: {said}")


async def _tls(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    target: Target,
    factory: Callable[[], P],
    timeout: float,
) -> tuple[P, str | None]:
    """Return the protocol, and what was chosen by ALPN."""
    try:
        transport, protocol = await loop.create_connection(
            factory,
            sock=sock,
            ssl=target.context,
            server_hostname=target.host,
            ssl_handshake_timeout=timeout,
            # A peer that does not answer close_notify, or sends on, must not keep the connection for long.
            ssl_shutdown_timeout=1.0,
        )
    except ssl.SSLCertVerificationError as error:
        raise DialError("CertificateVerifyFailed", f"{target.host}: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise DialError("TlsFailed", f"{_where(target)}: {error.reason or _text(error)}") from None
    except OSError as error:
        raise DialError("TlsFailed", f"{_where(target)}: {_text(error) or 'closed'}") from None
    tls = transport.get_extra_info("ssl_object")
    alpn = tls.selected_alpn_protocol() if tls is not None else None
    if alpn not in {"h2", None}:
        with contextlib.suppress(Exception):
            transport.abort()
        raise DialError("TlsFailed", f"{_where(target)}: the server does not speak HTTP/2 (ALPN h2)")
    return protocol, alpn


def _text(error: OSError) -> str:
    if error.errno and error.errno > 0 and "('" in (error.strerror or ""):
        # asyncio puts the address into the text, as a tuple.
        return os.strerror(error.errno)
    return (error.strerror or str(error) or type(error).__name__).strip()
