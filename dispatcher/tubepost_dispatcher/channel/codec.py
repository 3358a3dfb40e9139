"""Messages as bytes: JSON, checked when it is read.

JSON, not pickle: what a worker that went wrong sends can be malformed, but it cannot run code in the
supervisor. Secrets travel in it (base64), so it is never logged.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from tubepost_dispatcher.channel.messages import Envelope

_ADAPTER = TypeAdapter(Envelope)


class Malformed(Exception):
    """What came is no message."""


def encode(envelope: Envelope) -> bytes:
    """The envelope as JSON."""
    return _ADAPTER.dump_json(envelope, by_alias=True)


def decode(data: bytes) -> Envelope:
    """The inverse of `encode`.

    Raises:
        Malformed: this is no envelope. The text says where, and nothing of what was there.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        places = {".".join(str(step) for step in found["loc"]) or "JSON" for found in error.errors()}
    raise Malformed(f"not understood: {', '.join(sorted(places))}")
