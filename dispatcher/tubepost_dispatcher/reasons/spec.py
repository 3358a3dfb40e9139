"""The form of a row of the catalogue."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tubepost_dispatcher.outcome import OutcomeKind


class Action(enum.Enum):
    """What the pool does about a reason, beyond returning the outcome."""

    NONE = "none"
    BACK_OFF = "leave it to the caller's schedule"
    RECONNECT = "replace the connection; an immediate repetition makes sense"
    NEW_TOKEN = "one early provider token per step, then hold the route"  # noqa: S105 - a sentence
    KEEP_TOKEN = "stay with the older provider token for 20 minutes, replace the connection"  # noqa: S105 - a sentence
    HOLD_ROUTE = "hold the route, one probe per interval"
    COUNT_MISMATCH = "count towards the environment breaker"


class Source(enum.Enum):
    """Who gives a reason."""

    APNS = "APNs"
    DELIVERY = "delivery"
    MESSAGE = "the reader of messages"
    ACCEPTANCE = "acceptance"
    LISTENER = "the listener"
    RELAY = "the relay client"
    REQUESTS = "the REST listener"


@dataclass(frozen=True, slots=True)
class ReasonSpec:
    """One row: a word, what it means, and what everybody is told.

    Enhanced codes are RFC 3463's; legacy codes are those of Momentum's logger (`%S`).
    """

    reason: str
    kind: OutcomeKind
    smtp_code: int
    enhanced: str
    help: str
    """What happened, one sentence."""
    remedy: str = ""
    """What to do about it; empty where there is nothing to do but wait."""
    legacy_code: int = 1
    text: str = ""
    """The reply's text where it is always the same; else whoever refuses writes one."""
    status: int = 0
    """HTTP status with which APNs gives this reason, 0 where it is not APNs'."""
    action: Action = Action.NONE
    source: Source = Source.APNS
    http: int = 0
    """HTTP status of the REST listener for it, 0: by its kind (`http_status`)."""
    known: bool = True
    """False for what `catalogue.lookup` had to guess."""


def listener_row(reason: str, code: int, enhanced: str, text: str, help_: str, remedy: str) -> ReasonSpec:
    """Make a row of the listener's: 4yz is transient, 5yz permanent."""
    kind = OutcomeKind.TRANSIENT if code < 500 else OutcomeKind.PERMANENT
    legacy_code = 1 if kind is OutcomeKind.TRANSIENT else 4
    return ReasonSpec(reason, kind, code, enhanced, help_, remedy, legacy_code, text, source=Source.LISTENER)
