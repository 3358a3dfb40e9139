"""The request to APNs that a hook may change before it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_FIELDS: Final = ("token", "topic", "push_type", "priority", "expiration", "collapse_id", "id")
_TEXT: Final = frozenset({"token", "topic", "push_type", "collapse_id", "id"})


class Request:
    """One request to APNs. A field that is set to something else is sent like that, in this attempt.

    What is set is checked as in a push part of a message. A value that cannot be sent is a fault of the hook:
    the message is tried again later, as it was.
    """

    token: str
    """The device token, hex digits."""
    topic: str
    """`apns-topic`, with the suffix of its push type."""
    push_type: str
    """`apns-push-type`."""
    priority: int
    """`apns-priority`: 10, 5 or 1."""
    expiration: int
    """`apns-expiration`, unix seconds; 0: APNs does not keep it."""
    collapse_id: str
    """`apns-collapse-id`, empty for none."""
    id: str
    """`apns-id`, a UUID in lower case; what is set is used for every later attempt, too."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        set_ = super().__setattr__
        for name in _FIELDS:
            set_(name, fields[name])
        set_("_given", {name: fields[name] for name in _FIELDS})
        set_("_payload", fields["payload"].encode("utf-8"))
        set_("_given_payload", self._payload)
        set_("_json", None)
        set_("command", 2)

    _given: dict[str, Any]
    _payload: bytes
    _given_payload: bytes
    _json: Any
    command: int
    """Momentum's number of the command of the old binary protocol, always 2; of no effect."""

    @property
    def payload(self) -> bytes:
        """The JSON payload as bytes. Set it, or change `json`."""
        self._settle_json()
        return self._payload

    @payload.setter
    def payload(self, value: bytes | str) -> None:
        if not isinstance(value, bytes | str):
            raise TypeError(f"payload is bytes (or text), not {type(value).__name__}; for a dict set json")
        super().__setattr__("_payload", value.encode("utf-8") if isinstance(value, str) else value)
        super().__setattr__("_json", None)

    @property
    def json(self) -> Any:
        """The payload as a dict, which may be changed in place."""
        if self._json is None:
            super().__setattr__("_json", json.loads(self._payload))
        return self._json

    @json.setter
    def json(self, value: dict[str, Any]) -> None:
        if not isinstance(value, dict):
            raise TypeError(f"json is a dict, not {type(value).__name__}")
        super().__setattr__("_json", value)

    @property
    def expiry(self) -> int:
        """Momentum's name of `expiration`."""
        return self.expiration

    @expiry.setter
    def expiry(self, value: int) -> None:
        self.expiration = value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _TEXT:
            if not isinstance(value, str):
                raise TypeError(f"{name} is text, not {type(value).__name__}")
        elif name in {"priority", "expiration"}:
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
        elif name not in {"payload", "json", "expiry", "command"}:
            raise AttributeError(f"a request has no {name}; it has payload, json, {', '.join(_FIELDS)}")
        super().__setattr__(name, value)

    def _settle_json(self) -> None:
        """Write the payload anew where the dict is another one now; else it stays byte for byte."""
        if self._json is not None and self._json != json.loads(self._payload):
            text = json.dumps(self._json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            super().__setattr__("_payload", text.encode("utf-8"))

    def __repr__(self) -> str:
        return f"<Request {self.id} for {self.topic}>"


def changes_of(request: Request) -> dict[str, Any]:
    """The fields that a hook has set to something else; for Tubepost."""
    given, payload = request._given, request.payload  # noqa: SLF001 - of this module
    changes = {name: value for name in _FIELDS if (value := getattr(request, name)) != given[name]}
    if payload != request._given_payload:  # noqa: SLF001 - as above
        changes["payload"] = payload.decode("utf-8")
    return changes
