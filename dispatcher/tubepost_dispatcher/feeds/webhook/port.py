"""What the sink and its HTTP client agree on; light, since the client is loaded only where a webhook is."""

from __future__ import annotations

import ssl
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit


class Endpoint(NamedTuple):
    """Where to send to, and how. A changed one means a new client."""

    url: str
    timeout: float
    """Seconds for a request, its answer included."""
    tls: ssl.SSLContext | None = None
    """None: by the system's trust store, if it has TLS."""


class Response(NamedTuple):
    """An answer: its status, its Retry-After as it came, and the beginning of its body."""

    status: int
    retry_after: bytes
    body: bytes


class NoAnswer(Exception):
    """There was none; why, in words without a secret."""


class Client(Protocol):
    """What sends to one endpoint."""

    async def post(self, body: bytes, headers: dict[str, str]) -> Response:
        """Send a request.

        Raises:
            NoAnswer: there was no answer in time.
        """

    async def close(self) -> None:
        """Close the connection."""


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL: what may be said of it, since the rest may be a secret."""
    try:
        found = urlsplit(url)
        port = f":{found.port}" if found.port is not None else ""
    except ValueError:
        return "an invalid URL"
    host = f"[{found.hostname}]" if ":" in (found.hostname or "") else found.hostname
    return f"{found.scheme}://{host}{port}"
