"""The configuration of the listener for requests, precomputed once per change."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Generic

from tubepost_api.config import RestConfig
from tubepost_dispatcher.transaction import Acceptance, DomainT

_KEY: Final = secrets.token_bytes(32)
_SCHEME: Final = b"bearer "


class EffectiveRest(Generic[DomainT]):
    """What a request is judged by; replaced as a whole, never changed.

    Args:
        config: limits.
        acceptance: takes the notifications.
        tokens: bearer token of each client.
        networks: from which requests are taken, none: from everywhere.
        tls: the listener's, None without.

    Raises:
        ValueError: a network is malformed.
    """

    __slots__ = ("_clients", "_networks", "acceptance", "max_batch", "max_body", "tls")

    def __init__(
        self,
        config: RestConfig,
        acceptance: Acceptance[DomainT],
        tokens: Mapping[str, str],
        networks: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.acceptance = acceptance
        self.max_batch = config.max_batch
        self.max_body = config.max_body_size
        self.tls = tls
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in networks)
        # By keyed digest: no token is kept, and how long a look takes says nothing about one.
        self._clients = {_digest(token.encode()): name for name, token in tokens.items()}

    def allows(self, address: str) -> bool:
        """Whether a client of this IP address may send requests."""
        if not self._networks:
            return True
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks)

    def client(self, authorization: bytes) -> tuple[str | None, bytes]:
        """Whose bearer token this header has, None: nobody's; and what tells this token from others."""
        digest = _digest(authorization[len(_SCHEME) :].strip())
        name = self._clients.get(digest)
        if name is None or not hmac.compare_digest(authorization[: len(_SCHEME)].lower(), _SCHEME):
            return None, digest
        return name, digest


def _digest(token: bytes) -> bytes:
    return hashlib.blake2b(token, key=_KEY, digest_size=32).digest()
