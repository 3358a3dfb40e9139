"""The three outcomes. They are values, never exceptions."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class OutcomeKind(enum.Enum):
    """What became of one attempt at a notification."""

    DELIVERED = "delivered"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(slots=True, unsafe_hash=True, init=False)
class Outcome:
    """The result of one attempt to hand a notification to APNs. Never changed once it is made.

    (The language is not asked to see to that: a frozen one takes five times as long to make, and every
    notification has one.)

    `reason` is APNs' own word (`BadDeviceToken`), or ours for what APNs never answered (see
    `apns.reasons`: `ResponseTimeout`, `ConnectionLost`, `ConnectFailed`, `RouteHeld`, ...); empty when
    delivered. `status` is the HTTP status, 0 where there was none. `timestamp` is APNs' (ms since the
    epoch) on a 410, else 0. `possible_double`: the request was sent and its answer lost, so that a
    repetition may be a second notification. `retry_at_once`: the cause is already mended (new token, dead
    connection replaced), an immediate repetition makes sense, once. `held_until`: monotonic seconds before
    which this route takes no requests, 0.0 when it does.
    """

    kind: OutcomeKind
    reason: str
    status: int
    apns_id: str
    timestamp: int
    detail: str
    possible_double: bool
    retry_at_once: bool
    held_until: float

    # Written out, so that it is compiled where the module is.
    def __init__(
        self,
        kind: OutcomeKind,
        reason: str = "",
        status: int = 0,
        apns_id: str = "",
        timestamp: int = 0,
        detail: str = "",
        possible_double: bool = False,
        retry_at_once: bool = False,
        held_until: float = 0.0,
    ) -> None:
        self.kind = kind
        self.reason = reason
        self.status = status
        self.apns_id = apns_id
        self.timestamp = timestamp
        self.detail = detail
        self.possible_double = possible_double
        self.retry_at_once = retry_at_once
        self.held_until = held_until

    @property
    def unique_id(self) -> str:
        """The answer's `apns-unique-id`, which only Apple's development environment gives; else empty."""
        return ""


@dataclass(unsafe_hash=True, init=False)
class IdentifiedOutcome(Outcome):
    """An outcome in Apple's development environment. A class of its own, for the sake of all others."""

    given_id: str

    # Each by itself: mypyc passes a dictionary of arguments on as if it were the first of them.
    def __init__(
        self,
        kind: OutcomeKind,
        reason: str = "",
        status: int = 0,
        apns_id: str = "",
        timestamp: int = 0,
        detail: str = "",
        possible_double: bool = False,
        retry_at_once: bool = False,
        held_until: float = 0.0,
        given_id: str = "",
    ) -> None:
        super().__init__(
            kind, reason, status, apns_id, timestamp, detail, possible_double, retry_at_once, held_until
        )
        self.given_id = given_id

    @property
    def unique_id(self) -> str:
        """See `Outcome.unique_id`."""
        return self.given_id


def identified(outcome: Outcome, unique_id: str) -> Outcome:
    """The same outcome, with the `apns-unique-id` of its answer."""
    return IdentifiedOutcome(
        outcome.kind,
        outcome.reason,
        outcome.status,
        outcome.apns_id,
        outcome.timestamp,
        outcome.detail,
        outcome.possible_double,
        outcome.retry_at_once,
        outcome.held_until,
        unique_id,
    )
