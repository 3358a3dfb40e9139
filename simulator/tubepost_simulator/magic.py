"""Magic device tokens: what a token makes the simulator do, without any switch being set.

A magic token is a device token with one of these prefixes; whatever hexadecimal digits follow are free, so
that any number of distinct tokens has the same effect. Two families:

* `dead` + the status in three digits + one hexadecimal digit, the reason's place among those of the same
  status (alphabetical order): answered with that reason, after everything else about the request was found
  right. `dead4001` is BadDeviceToken.
* `beef` + four digits: a behaviour. Digits written `NNN` are a decimal number.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from tubepost_simulator.reasons import ABOUT_CHANNELS, Reason

REASON_PREFIX = "dead"
BEHAVIOUR_PREFIX = "beef"
PREFIX_LENGTH = 8


class BehaviourKind(enum.Enum):
    """What happens instead of, or together with, the answer."""

    STALL = "Stall"
    SILENCE = "Silence"
    SLOW = "Slow"
    RESET = "Reset"
    REFUSE = "Refuse"
    GOAWAY = "GoAway"
    GOAWAY_LOWER = "GoAwayLower"
    GOAWAY_ZERO = "GoAwayZero"
    DROP_BEFORE = "DropBefore"
    DROP_AFTER = "DropAfter"
    FLAKY = "Flaky"


class Behaviour(NamedTuple):
    """A behaviour with its number: milliseconds for SLOW, attempts for REFUSE and FLAKY, else 0."""

    kind: BehaviourKind
    value: int = 0


class BehaviourSpec(NamedTuple):
    """One row of the table: `code` with `NNN` where a number stands, and what it does."""

    code: str
    kind: BehaviourKind
    help: str


BEHAVIOURS: tuple[BehaviourSpec, ...] = (
    BehaviourSpec("0000", BehaviourKind.STALL, "Recorded, never answered."),
    BehaviourSpec(
        "0001", BehaviourKind.SILENCE, "Recorded, never answered; the connection reads and writes no more."
    ),
    BehaviourSpec("1NNN", BehaviourKind.SLOW, "Answered with 200 after NNN x 10 ms."),
    BehaviourSpec("2000", BehaviourKind.RESET, "Recorded, then RST_STREAM with INTERNAL_ERROR."),
    BehaviourSpec(
        "3NNN",
        BehaviourKind.REFUSE,
        "REFUSED_STREAM for the first NNN attempts of an apns-id (000: always). Not recorded.",
    ),
    BehaviourSpec(
        "4000", BehaviourKind.GOAWAY, "Answered with 200, then GOAWAY with the exact last stream id."
    ),
    BehaviourSpec(
        "4001",
        BehaviourKind.GOAWAY_LOWER,
        "GOAWAY with a last stream id below its own, for the first attempt of an apns-id; not recorded.",
    ),
    BehaviourSpec(
        "4002",
        BehaviourKind.GOAWAY_ZERO,
        "Recorded; GOAWAY with last stream id 0 instead of the answer, for the first attempt of an apns-id.",
    ),
    BehaviourSpec(
        "5000",
        BehaviourKind.DROP_BEFORE,
        "The connection is cut, for the first attempt of an apns-id; not recorded.",
    ),
    BehaviourSpec(
        "5001",
        BehaviourKind.DROP_AFTER,
        "Recorded; the connection is cut instead of the answer, for the first attempt of an apns-id.",
    ),
    BehaviourSpec(
        "6NNN",
        BehaviourKind.FLAKY,
        "503 ServiceUnavailable for the first NNN attempts of an apns-id (000: always), then 200.",
    ),
)
"""Total over `BehaviourKind`."""


def _reason_codes() -> dict[str, Reason]:
    codes: dict[str, Reason] = {}
    counts: dict[int, int] = {}
    for reason in sorted(set(Reason) - ABOUT_CHANNELS):
        place = counts.get(reason.status, 0)
        counts[reason.status] = place + 1
        codes[f"{reason.status}{place:x}"] = reason
    return codes


REASON_CODES: dict[str, Reason] = _reason_codes()
"""The four digits after `dead`, for every reason that a push to a device can get."""

_FIXED = {spec.code: spec.kind for spec in BEHAVIOURS if "N" not in spec.code}
_NUMBERED = {spec.code[0]: spec.kind for spec in BEHAVIOURS if "N" in spec.code}


def reason_token(reason: Reason, suffix: str = "") -> str:
    """A device token of 64 digits that is answered with `reason`; `suffix` (hex) tells such tokens apart."""
    code = next(code for code, found in REASON_CODES.items() if found is reason)
    return _padded(REASON_PREFIX + code, suffix)


def behaviour_token(kind: BehaviourKind, value: int = 0, suffix: str = "") -> str:
    """A device token of 64 digits that causes a behaviour; `value` (0 to 999) where its code has a number."""
    code = next(spec.code for spec in BEHAVIOURS if spec.kind is kind)
    return _padded(BEHAVIOUR_PREFIX + code.replace("NNN", f"{value:03d}"), suffix)


def _padded(prefix: str, suffix: str) -> str:
    return prefix + suffix.rjust(64 - PREFIX_LENGTH, "0")


def lookup(token: str) -> Reason | Behaviour | None:
    """What a device token (lower-case) asks for; None for ordinary tokens and for codes not taken."""
    prefix = token[:4]
    if prefix == REASON_PREFIX:
        return REASON_CODES.get(token[4:PREFIX_LENGTH])
    if prefix != BEHAVIOUR_PREFIX:
        return None
    code = token[4:PREFIX_LENGTH]
    fixed = _FIXED.get(code)
    if fixed is not None:
        return Behaviour(fixed)
    numbered = _NUMBERED.get(code[:1])
    # isdecimal alone also takes digits of other scripts, which cannot stand in a checked token anyway.
    if numbered is None or len(code) != 4 or not code[1:].isdecimal():
        return None
    number = int(code[1:])
    return Behaviour(numbered, number * 10 if numbered is BehaviourKind.SLOW else number)
