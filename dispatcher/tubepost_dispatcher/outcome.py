"""The three outcomes. They are values, never exceptions."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class OutcomeKind(enum.Enum):
    """What became of one attempt at a notification."""

    DELIVERED = "delivered"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt to hand a notification to APNs.

    `reason` is APNs' own word (`BadDeviceToken`), or ours for what APNs never answered (see
    `apns.reasons`: `ResponseTimeout`, `ConnectionLost`, `ConnectFailed`, `RouteHeld`, ...); empty when
    delivered. `status` is the HTTP status, 0 where there was none. `timestamp` is APNs' (ms since the
    epoch) on a 410, else 0. `possible_double`: the request was sent and its answer lost, so that a
    repetition may be a second notification. `retry_at_once`: the cause is already mended (new token, dead
    connection replaced), an immediate repetition makes sense, once. `held_until`: monotonic seconds before
    which this route takes no requests, 0.0 when it does. `unique_id`: the answer's `apns-unique-id`, which
    only Apple's development environment gives.
    """

    kind: OutcomeKind
    reason: str = ""
    status: int = 0
    apns_id: str = ""
    timestamp: int = 0
    detail: str = ""
    possible_double: bool = False
    retry_at_once: bool = False
    held_until: float = 0.0
    unique_id: str = ""
