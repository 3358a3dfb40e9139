"""A request as received, and what is answered: values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tubepost_simulator.magic import Behaviour
from tubepost_simulator.provider_tokens import VerifiedToken
from tubepost_simulator.reasons import Reason

Operation = Literal["create", "read", "delete", "list"]
"""What can be done with channels."""

_REPEATABLE = frozenset({"cookie"})  # RFC 9113 section 8.2.3


class Request:
    """A request as received. `body_size` counts also what was not kept of an oversized body."""

    __slots__ = ("body", "body_size", "fields", "method", "path", "repeated")

    def __init__(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        body_size: int | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.body_size = len(body) if body_size is None else body_size
        self.fields: dict[str, str] = {}
        self.repeated = ""
        fields = self.fields
        for name, value in headers:
            if name in fields and name not in _REPEATABLE:
                self.repeated = name
            fields[name] = value


@dataclass(frozen=True, slots=True)
class ConnectionAuth:
    """What earlier requests on the same connection have established: the provider token in use."""

    token: VerifiedToken | None = None


class Reply:
    """The answer, and what was understood of the request on the way to it.

    `reason` None: accepted. `detail` explains a rejection to people. `timestamp` (ms) comes with 410.
    `behaviour` is a magic token's. `state` is what the connection's next request meets.
    """

    __slots__ = (
        "apns_id",
        "auth",
        "begun",
        "behaviour",
        "body",
        "channel_id",
        "collapse_id",
        "detail",
        "expiration",
        "id_field",
        "identity",
        "operation",
        "policy",
        "priority",
        "push_type",
        "reason",
        "state",
        "success",
        "timestamp",
        "token",
        "topic",
    )

    def __init__(self, state: ConnectionAuth) -> None:
        self.state = state
        self.reason: Reason | None = None
        self.detail = ""
        self.timestamp = 0
        self.behaviour: Behaviour | None = None
        self.apns_id = ""
        self.auth = ""
        """`certificate`, `token`, or empty when neither was accepted."""
        self.identity = ""
        """The certificate's subject, or `team/key`."""
        self.token = ""
        self.topic = ""
        self.push_type = ""
        self.priority: int | None = None
        self.expiration: int | None = None
        self.collapse_id: str | None = None
        self.channel_id = ""
        """Of a broadcast, or of the channel that is managed."""
        self.operation: Operation | None = None
        """What is asked for, None: a push."""
        self.policy = 0
        """`message-storage-policy` of a new channel."""
        self.id_field = "apns-id"
        """The field of the answer that repeats `apns_id`."""
        self.success = 200
        """HTTP status where there is no `reason`."""
        self.body = b""
        """What is left to send of the answer where there is no `reason`."""
        self.begun = False
        """The answer to an operation has been begun."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.success if self.reason is None else self.reason.status

    def refuse(self, reason: Reason, detail: str = "") -> Reply:
        """Make this a rejection; returns itself."""
        self.reason = reason
        self.detail = detail
        return self
