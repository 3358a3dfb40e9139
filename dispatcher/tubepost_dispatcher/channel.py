"""The private line between supervisor and worker: length-prefixed JSON over a Unix socket pair.

JSON, not pickle: what a worker that went wrong sends can be malformed, but it cannot run code in the
supervisor. Secrets travel on it (base64), so it is never logged.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tubepost_api.config import DispatcherConfig
from tubepost_dispatcher.config.bundle import ConfigBundle

MAX_MESSAGE = 64 * 1024 * 1024

Message = dict[str, Any]


class Channel(asyncio.Protocol):
    """One end of the line. `on_message` is called for every message, `on_closed` once at the end."""

    def __init__(self, on_message: Callable[[Message], None], on_closed: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not subclasses

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > MAX_MESSAGE:
                self.close()
                return
            if len(self._buffer) < 4 + size:
                return
            message = orjson.loads(bytes(self._buffer[4 : 4 + size]))
            del self._buffer[: 4 + size]
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc
        self.closed = True
        self._on_closed()

    def send(self, op: str, **fields: Any) -> None:
        """Send one message; silently nothing once the other side has gone (its end is noticed apart)."""
        if self._transport is None or self.closed:
            return
        data = orjson.dumps({"op": op, **fields})
        self._transport.write(len(data).to_bytes(4, "big") + data)

    def close(self) -> None:
        """Close the line after what was sent."""
        if self._transport is not None:
            self._transport.close()


def pack_bundle(bundle: ConfigBundle) -> Message:
    """A bundle as JSON values."""
    return {
        "config": bundle.config.to_json(),
        "secrets": {
            name: {key: base64.b64encode(value).decode() for key, value in keys.items()}
            for name, keys in bundle.secrets.items()
        },
    }


def unpack_bundle(message: Mapping[str, Any]) -> ConfigBundle:
    """The inverse of `pack_bundle`."""
    return ConfigBundle(
        config=DispatcherConfig.model_validate_json(message["config"]),
        secrets={
            name: {key: base64.b64decode(value) for key, value in keys.items()}
            for name, keys in message["secrets"].items()
        },
    )
