"""What the admin API is asked to do with the queue: typed, bounded, and refused in words. Pure.

Supervisor, workers and the command line share it. A request is answered in steps: an answer that is not the
last one has a cursor, with which the next step goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tubepost_api.durations import parse_duration

MOST_TEXT: Final = 512
"""Characters of a filter's value."""
MOST_REASON: Final = 200
"""Characters of an operator's reason and name."""
MOST_IDS: Final = 100
"""Message ids of one filter."""
MOST_LISTED: Final = 500
"""Notifications that one answer lists."""
_CURSOR: Final = re.compile(r"([0-9]{1,15})-([0-9]{1,4})-([0-9]{1,19})?", re.ASCII)


class RequestRefused(Exception):
    """A request cannot be understood, or is not allowed: what, where, and what to do instead."""


class Action(StrEnum):
    """What changes the queue."""

    FLUSH = "flush"
    HOLD = "hold"
    RELEASE = "release"
    DROP = "drop"


DESTROYS: Final = frozenset({Action.DROP})
"""What cannot be undone: it is a dry run unless the request says otherwise."""
NEEDS_REASON: Final = frozenset({Action.HOLD, Action.DROP})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which notifications are meant; those that match every value that is given. None: any."""

    domain: str | None = None
    route: str | None = None
    sender: str | None = None
    last_reason: str | None = None
    ids: tuple[str, ...] = ()
    older_than: float | None = None
    """Seconds since acceptance, at least."""
    younger_than: float | None = None
    """Seconds since acceptance, at most."""
    held: bool | None = None

    @property
    def everything(self) -> bool:
        """Whether it excludes nothing."""
        return self == Selection()

    def query(self) -> list[tuple[str, str]]:
        """The parameters that `read_query` reads."""
        pairs = [
            ("domain", self.domain),
            ("route", self.route),
            ("sender", self.sender),
            ("lastReason", self.last_reason),
            *(("id", one) for one in self.ids),
            ("olderThan", None if self.older_than is None else _seconds(self.older_than)),
            ("youngerThan", None if self.younger_than is None else _seconds(self.younger_than)),
            ("held", None if self.held is None else str(self.held).lower()),
        ]
        return [(name, value) for name, value in pairs if value is not None]

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self.query()) or "everything"


class Parameter(NamedTuple):
    """One value of a filter, for the reference."""

    name: str
    type: str
    help: str


SELECTION: Final = (
    Parameter("domain", "string", "Domain of the recipient, as the recipient has it; exact."),
    Parameter("route", "string", "ApnRoute of the last attempt; empty: not tried yet."),
    Parameter("sender", "string", "MAIL FROM, with or without angle brackets; empty: the null sender."),
    Parameter(
        "lastReason", "string", "Reason of the last attempt (see the table of outcomes); empty: none yet."
    ),
    Parameter("id", "string, or several", f"Message id, as the 250 named it; at most {MOST_IDS}."),
    Parameter("olderThan", "duration", "Accepted at least so long ago: `90s`, `2h30m`."),
    Parameter("youngerThan", "duration", "Accepted at most so long ago."),
    Parameter("held", "boolean", "true: only what an operator holds; false: only the rest."),
)
"""The filter, in the order of the reference."""
_TEXTS: Final = {"domain": "domain", "route": "route", "sender": "sender", "lastReason": "last_reason"}
_NAMES: Final = {one.name for one in SELECTION}


class Cursor(NamedTuple):
    """Where the next step of a request goes on."""

    as_of: float
    """Unix seconds, of the first step: what was accepted later is not concerned, and ages count from it."""
    partition: int = 0
    after: int | None = None
    """Key of the last entry that was looked at; None: none of this partition."""

    def __str__(self) -> str:
        return f"{round(self.as_of * 1000)}-{self.partition}-{'' if self.after is None else self.after}"


@dataclass(frozen=True, slots=True)
class Change:
    """One step of an action.

    Attributes:
        action: what to do.
        selection: with which notifications.
        cursor: where to go on; None: it is the first step.
        dry_run: count only.
        reason: the operator's, in words.
        by: who the operator is.
    """

    action: Action
    selection: Selection
    cursor: Cursor | None = None
    dry_run: bool = False
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """How many notifications have these in common. Times in unix seconds, sizes in bytes."""

    domain: str
    route: str
    reason: str
    hold: str
    queued: int
    due: int
    oldest: float
    size: int


OTHERS: Final = "(others)"
"""Stands for the domains of groups beyond the number that an answer may have."""


def add_up(groups: Sequence[Group], most: int) -> list[Group]:
    """Make one of groups that have the same in common; beyond `most` the smallest ones are put together."""
    sums: dict[tuple[str, str, str, str], Group] = {}
    for one in groups:
        _add(sums, (one.domain, one.route, one.reason, one.hold), one)
    ordered = sorted(sums.values(), key=lambda one: (one.domain == OTHERS, -one.queued))
    rest: dict[tuple[str, str, str, str], Group] = {}
    for one in ordered[most:]:
        _add(rest, (OTHERS, "", "", ""), one)
    return [*ordered[:most], *rest.values()]


def _add(sums: dict[tuple[str, str, str, str], Group], key: tuple[str, str, str, str], one: Group) -> None:
    found = sums.get(key)
    queued, due, oldest, size = one.queued, one.due, one.oldest, one.size
    if found is not None:
        queued, due, size = queued + found.queued, due + found.due, size + found.size
        oldest = min(oldest, found.oldest)
    sums[key] = Group(*key, queued, due, oldest, size)


# -- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """What a reading request asks for."""

    selection: Selection = field(default_factory=Selection)
    cursor: Cursor | None = None
    limit: int = 100


def read_query(pairs: Sequence[tuple[str, str]]) -> Query:
    """Read the parameters of a request that changes nothing.

    Raises:
        RequestRefused: a parameter is unknown, comes twice, or has a value that it cannot have.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name == "id":
            values.setdefault("id", []).append(value)
        elif name in values:
            raise RequestRefused(f"{_shown(name)} is given twice. Give it once")
        else:
            values[name] = value
    if values.get("held") in ("true", "false"):
        values["held"] = values["held"] == "true"
    limit = values.pop("limit", "100")
    if not re.fullmatch(r"[0-9]{1,4}", limit, re.ASCII) or not 1 <= int(limit) <= MOST_LISTED:
        raise RequestRefused(f"limit: {_shown(limit)} is not a number from 1 to {MOST_LISTED}")
    cursor = _cursor(values.pop("cursor", None))
    return Query(_selection(values, "parameter"), cursor, int(limit))


def read_change(action: Action, document: object) -> Change:
    """Read the JSON body of a request that changes the queue.

    Raises:
        RequestRefused: it is not an object, a field is unknown or has a value that it cannot have, or
            something is missing.
    """
    if not isinstance(document, dict):
        raise RequestRefused('The body is not a JSON object. Send one, such as {"filter": {"domain": "..."}}')
    known = {"filter", "all", "dryRun", "reason", "by", "cursor"}
    for name in document.keys() - known:
        raise RequestRefused(f"{_shown(name)} is no field. There are: {', '.join(sorted(known))}")
    chosen = document.get("filter", {})
    if not isinstance(chosen, dict):
        raise RequestRefused(f"filter: not an object. Its fields: {', '.join(sorted(_NAMES))}")
    selection = _selection(chosen, "field of filter")
    everything = _boolean(document.get("all", False), "all")
    if selection.everything and not everything:
        raise RequestRefused('filter: it excludes nothing. Name what to choose, or say "all": true')
    if everything and not selection.everything:
        raise RequestRefused('all: there is a filter too. Leave "all" out, or the filter')
    dry_run = _boolean(document.get("dryRun", action in DESTROYS), "dryRun")
    reason = _text(document.get("reason", ""), "reason", MOST_REASON).strip()
    if action in NEEDS_REASON and not dry_run and not reason:
        raise RequestRefused(f"reason: {action} needs one; it is logged. Say why, in a few words")
    return Change(
        action,
        selection,
        _cursor(document.get("cursor")),
        dry_run,
        reason,
        _text(document.get("by", ""), "by", MOST_REASON).strip(),
    )


def _selection(values: Mapping[str, Any], kind: str) -> Selection:
    for name in values.keys() - _NAMES:
        raise RequestRefused(f"{_shown(name)} is no {kind}. There are: {', '.join(sorted(_NAMES))}")
    texts = {
        keyword: _text(values[name], name) for name, keyword in _TEXTS.items() if values.get(name) is not None
    }
    if "domain" in texts:
        texts["domain"] = texts["domain"].lower()
    sender = texts.get("sender", "")
    if sender.startswith("<") and sender.endswith(">"):
        # As MAIL FROM and logs have it; no address begins like that.
        texts["sender"] = sender[1:-1]
    ids = values.get("id") or []
    ids = [ids] if isinstance(ids, str) else ids
    if not isinstance(ids, list) or len(ids) > MOST_IDS:
        raise RequestRefused(
            f"id: neither a message id nor a list of at most {MOST_IDS}. Use a filter, or several requests"
        )
    held = values.get("held")
    return Selection(
        **texts,
        ids=tuple(_id(one) for one in ids),
        older_than=_age(values.get("olderThan"), "olderThan"),
        younger_than=_age(values.get("youngerThan"), "youngerThan"),
        held=None if held is None else _boolean(held, "held"),
    )


def _id(value: object) -> str:
    text = _text(value, "id").strip()
    if not text:
        raise RequestRefused("id: empty. Give a message id, as the 250 named it")
    return text


def _age(value: object, name: str) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(_text(value, name))
    except ValueError:
        raise RequestRefused(f"{name}: {_shown(value)} is not a duration. Write it as 90s or 2h30m") from None


def _boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise RequestRefused(f"{name}: {_shown(value)} is neither true nor false")
    return value


def _text(value: object, name: str, most: int = MOST_TEXT) -> str:
    if not isinstance(value, str):
        raise RequestRefused(f"{name}: not a string. Put it in quotes")
    if len(value) > most:
        raise RequestRefused(f"{name}: longer than {most} characters. Shorten it")
    if not value.isprintable():
        raise RequestRefused(f"{name}: has control characters. Leave them out")
    return value


def _cursor(value: object) -> Cursor | None:
    if value is None:
        return None
    found = _CURSOR.fullmatch(value) if isinstance(value, str) else None
    after = int(found[3]) if found and found[3] else None
    if found is None or (after is not None and after >= 2**63):
        raise RequestRefused("cursor: not one of ours. Pass on what the last answer called next, as it is")
    return Cursor(int(found[1]) / 1000, int(found[2]), after)


def _seconds(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def _shown(value: object) -> str:
    """What was given, short and printable."""
    return ascii(value if isinstance(value, str) else repr(value)[:64])[:66]
