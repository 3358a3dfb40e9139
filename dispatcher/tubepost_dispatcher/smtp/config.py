"""The configuration of a listener, precomputed once per change."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import ssl
import sys
from collections.abc import Collection, Mapping
from typing import Generic

from tubepost_api.config import ListenerConfig, StartTlsMode
from tubepost_dispatcher.smtp import data
from tubepost_dispatcher.transaction import Acceptance, DomainT

TIMEOUT_UNDER_LOAD = 10.0
"""Seconds after which an idle client is closed while places are scarce (as Postfix does under stress)."""

_COMPARE_KEY = secrets.token_bytes(32)


class EffectiveConfig(Generic[DomainT]):
    """What a session uses from MAIL to the reply; replaced as a whole, never changed.

    Raises ValueError when a network of `allowed_networks` or `proxy_networks` is malformed.
    """

    __slots__ = (
        "acceptance",
        "auth_needs_tls",
        "auth_offered",
        "auth_required",
        "ehlo_plain",
        "ehlo_tls",
        "greeting",
        "hello",
        "hostname",
        "limits",
        "max_message_size",
        "max_messages",
        "max_recipients",
        "networks",
        "plain_size",
        "proxy_networks",
        "tls",
        "tls_required",
        "users",
    )

    def __init__(
        self,
        config: ListenerConfig,
        acceptance: Acceptance[DomainT],
        *,
        tls: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.acceptance = acceptance
        self.limits = limits = config.limits
        # Beside `limits`, whose attributes take several times as long to look up.
        self.max_message_size = limits.max_message_size
        self.max_messages = limits.max_messages_per_session
        self.max_recipients = limits.max_recipients or sys.maxsize
        self.hostname = config.hostname
        self.networks = tuple(ipaddress.ip_network(n, strict=False) for n in config.allowed_networks)
        self.proxy_networks = tuple(ipaddress.ip_network(n, strict=False) for n in config.proxy_networks)
        """Whose connections begin with a PROXY header."""
        mode = config.starttls.mode
        self.tls = None if mode is StartTlsMode.DISABLED else tls
        # Without a usable certificate Required still means required: nothing is taken in the clear.
        self.tls_required = mode is StartTlsMode.REQUIRED
        auth = config.auth
        self.auth_offered = auth is not None
        self.auth_required = auth is not None and auth.required
        self.auth_needs_tls = auth is not None and auth.require_tls
        self.users = {name.encode(): _digest(secret.encode()) for name, secret in (users or {}).items()}
        """Digests by name: comparing takes the same time for any guess, and no password is kept."""
        bounds = (limits.max_message_size, limits.max_header_size, limits.max_line_length, data.FILE_ABOVE)
        self.plain_size = min(bound for bound in bounds if bound)
        """A message up to this many octets cannot exceed any limit."""
        self.greeting = f"220 {self.hostname} ESMTP Tubepost\r\n".encode()
        self.hello = f"250 {self.hostname}\r\n".encode()
        self.ehlo_plain = self._ehlo(secure=False)
        self.ehlo_tls = self._ehlo(secure=True)

    def _ehlo(self, *, secure: bool) -> bytes:
        lines = [self.hostname, "PIPELINING"]
        size = self.limits.max_message_size
        lines += [f"SIZE {size}" if size else "SIZE", "8BITMIME", "SMTPUTF8"]
        if self.tls is not None and not secure:
            lines.append("STARTTLS")
        if self.auth_offered and (secure or not self.auth_needs_tls):
            lines.append("AUTH PLAIN LOGIN")
        lines += ["ENHANCEDSTATUSCODES", "DSN", "HELP"]
        text = "".join(f"250-{line}\r\n" for line in lines[:-1])
        return f"{text}250 {lines[-1]}\r\n".encode()

    def allows(self, address: str) -> bool:
        """Whether a client of this IP address may connect."""
        return not self.networks or _within(address, self.networks)

    def proxies(self, address: str) -> bool:
        """Whether a peer of this IP address has to send a PROXY header."""
        return _within(address, self.proxy_networks)

    def password_matches(self, name: bytes, password: bytes) -> bool:
        """Check a password in constant time, whether or not the name exists."""
        expected = self.users.get(name)
        matches = hmac.compare_digest(_digest(password), expected or _NOBODY)
        return matches and expected is not None

    def timeout(self, *, scarce: bool) -> float:
        """Seconds after which an idle client is closed, less while places are `scarce`; 0 means never."""
        timeout = self.limits.command_timeout
        return min(timeout or TIMEOUT_UNDER_LOAD, TIMEOUT_UNDER_LOAD) if scarce else timeout


def _within(address: str, networks: Collection[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)


def _digest(secret: bytes) -> bytes:
    return hashlib.blake2b(secret, key=_COMPARE_KEY, digest_size=32).digest()


_NOBODY = _digest(secrets.token_bytes(32))


def printable_address(peer: object) -> tuple[str, int]:
    """The IP address and port of a socket's peer; IPv4 addresses mapped to IPv6 become IPv4 again."""
    if not (isinstance(peer, tuple) and len(peer) >= 2):
        return "", 0
    host, port = str(peer[0]).partition("%")[0], int(peer[1])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "", port
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), port
