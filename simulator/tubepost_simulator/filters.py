"""Choosing notifications: the filters that the API, the live feed and the page share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from tubepost_simulator.journal import Journal, Notification

DEFAULT_LIMIT: Final = 1_000
MAX_LIMIT: Final = 100_000
MAX_TEXT: Final = 500
"""Characters of a filter's value."""
OUTCOMES: Final = ("accepted", "rejected", "unanswered")


class BadRequestError(Exception):
    """A fault of the caller's. `field` names the parameter or the JSON path, empty when it is the whole."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Filter(NamedTuple):
    """One filter: how its value is read, what it holds against a record, and words for the reference."""

    read: Callable[[str, str], Any]
    schema: Mapping[str, Any]
    help: str
    holds: Callable[[Notification, Any], bool] | None = None
    """None: a bound, which `select` knows by name."""


def integer(name: str, value: str) -> int:
    """Read a whole number.

    Raises:
        BadRequestError: it is none.
    """
    if not value.isascii() or not value.isdecimal() or len(value) > 15:
        raise BadRequestError("not a whole number", name)
    return int(value)


def seconds(name: str, value: str) -> float:
    """Read a number of seconds.

    Raises:
        BadRequestError: it is none, or negative.
    """
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise BadRequestError("not a number of seconds", name)
    return number


def _text(name: str, value: str) -> str:
    if len(value) > MAX_TEXT:
        raise BadRequestError(f"longer than {MAX_TEXT} characters", name)
    return value


def _lower(name: str, value: str) -> str:
    return _text(name, value).lower()


def _folded(name: str, value: str) -> str:
    return _text(name, value).casefold()


def _limit(name: str, value: str) -> int:
    number = integer(name, value)
    if number > MAX_LIMIT:
        raise BadRequestError(f"at most {MAX_LIMIT}", name)
    return number


def _outcome(name: str, value: str) -> str:
    if value not in OUTCOMES:
        raise BadRequestError(f"one of {', '.join(OUTCOMES)}", name)
    return value


def outcome(record: Notification) -> str:
    """`accepted` or `rejected`; `unanswered` while the verdict has not been written to the connection."""
    if not record.answered:
        return "unanswered"
    return "accepted" if record.accepted else "rejected"


def _mentions(record: Notification, folded: str) -> bool:
    """Whether a text stands anywhere in the request or in its verdict, whatever the case of letters."""
    for value in (
        record.token,
        record.topic,
        record.push_type,
        record.apns_id,
        record.collapse_id,
        record.channel_id,
        record.reason,
        record.detail,
        record.behaviour,
        record.identity,
    ):
        if value and folded in value.casefold():
            return True
    payload = record.payload
    if folded in payload.decode("utf-8", "replace").casefold():
        return True
    # Texts that the sender has written with escapes are found as they read.
    if b"\\" not in payload:
        return False
    document = record.json()
    return document is not None and folded in orjson.dumps(document).decode().casefold()


_STRING: Final = {"type": "string", "maxLength": MAX_TEXT}
_WHOLE: Final = {"type": "integer", "minimum": 0}
FILTERS: Final[Mapping[str, Filter]] = {
    "token": Filter(
        _lower, _STRING, "The device token, the whole of it.", lambda record, value: record.token == value
    ),
    "token_prefix": Filter(
        _lower,
        _STRING,
        "What the device token begins with.",
        lambda record, value: record.token.startswith(value),
    ),
    "topic": Filter(_text, _STRING, "The topic.", lambda record, value: record.topic == value),
    "push_type": Filter(_text, _STRING, "The push type.", lambda record, value: record.push_type == value),
    "channel_id": Filter(
        _text, _STRING, "The broadcast channel.", lambda record, value: record.channel_id == value
    ),
    "apns_id": Filter(_text, _STRING, "The apns-id.", lambda record, value: record.apns_id == value),
    "status": Filter(integer, _WHOLE, "The HTTP status.", lambda record, value: record.status == value),
    "reason": Filter(
        _text, _STRING, "The reason of a rejection.", lambda record, value: record.reason == value
    ),
    "outcome": Filter(
        _outcome,
        {"type": "string", "enum": list(OUTCOMES)},
        "`unanswered` while the verdict has not been written to the connection.",
        lambda record, value: outcome(record) == value,
    ),
    "q": Filter(
        _folded,
        _STRING,
        "A text that stands anywhere in the request or its verdict; upper and lower case are one.",
        _mentions,
    ),
    "since": Filter(seconds, {"type": "number", "minimum": 0}, "Received at or after, unix seconds."),
    "after": Filter(integer, _WHOLE, "A greater number than this."),
    "before": Filter(integer, _WHOLE, "A smaller number than this."),
    "limit": Filter(
        _limit,
        {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "The newest so many.",
    ),
}
"""All must hold."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """Filters as read. `tests` are pairs of a filter and its value; the rest are bounds."""

    tests: tuple[tuple[Callable[[Notification, Any], bool], Any], ...] = ()
    limit: int = DEFAULT_LIMIT
    since: float = 0.0
    after: int = 0
    before: int = 0
    """0: none."""

    def hold(self, record: Notification) -> bool:
        """Whether a record passes, bounds aside."""
        return all(test(record, value) for test, value in self.tests)


def read(query: Mapping[str, str]) -> Criteria:
    """Read the filters of a request.

    Raises:
        BadRequestError: an unknown filter, or an invalid value.
    """
    tests: list[tuple[Callable[[Notification, Any], bool], Any]] = []
    bounds: dict[str, Any] = {}
    for name, text in query.items():
        known = FILTERS.get(name)
        if known is None:
            raise BadRequestError(f"there is no filter of this name; there are {', '.join(FILTERS)}", name)
        value = known.read(name, text)
        if known.holds is None:
            bounds[name] = value
        else:
            tests.append((known.holds, value))
    return Criteria(tuple(tests), **bounds)


def newest(journal: Journal, criteria: Criteria) -> Iterator[Notification]:
    """Records that pass, newest first, `limit` aside."""
    for record in reversed(journal):
        if record.received_at < criteria.since or record.number <= criteria.after:
            return  # records are in order of both
        if criteria.before and record.number >= criteria.before:
            continue
        if criteria.hold(record):
            yield record


def select(journal: Journal, criteria: Criteria) -> list[Notification]:
    """Records that pass, newest last, the newest `limit` of them."""
    chosen: list[Notification] = []
    for record in newest(journal, criteria):
        if len(chosen) >= criteria.limit:
            break
        chosen.append(record)
    chosen.reverse()
    return chosen
