"""From notifications to what is stored of them, and back."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tubepost_dispatcher.delivery.domain import Route
from tubepost_dispatcher.notification import Notification, decode, encode
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.store.port import Entry, Kept
from tubepost_dispatcher.store.port import entry as store_entry
from tubepost_runtime.words import counted

_LOG = logging.getLogger("tubepost.queue")

_entry_of: Final[Callable[[tuple[Any, ...]], Entry]] = partial(tuple.__new__, Entry)
"""As `Entry(...)`, at a third of the cost."""
UNREADABLE: Final = "this release cannot read it"
"""Why a notification is held that an operator has not held."""


def fresh_entry(notification: Notification, lane: Lane, now: float, expires: float) -> Entry:
    """As `entry_of`, of a notification that comes from its sender; done for every message of a queue."""
    return _entry_of((
        encode(notification), notification.message_id, notification.domain, notification.sender,
        notification.accepted_at, now, expires, notification.attempt, "", "", "", lane.ident,
    ))  # fmt: skip


def entry_of(
    notification: Notification,
    lane: Lane,
    *,
    due: float,
    expires: float,
    reason: str = "",
    route: Route | None = None,
) -> Entry:
    """What is stored of a notification; times in unix seconds, `route` of the last attempt."""
    name = route.name if route is not None else ""
    return store_entry(notification, due=due, expires=expires, reason=reason, route=name, lane=lane.ident)


def read_entry(one: Kept) -> Notification | None:
    """The notification of an entry; None where this release cannot read it."""
    try:
        return decode(one.entry.body)
    except ValueError as error:
        _LOG.error("queue: message %s cannot be read: %s", one.entry.message_id, error)
        return None


def held_back(entry: Entry) -> Entry:
    """The same entry, held until somebody can read it."""
    return entry._replace(due=math.inf, hold=entry.hold or UNREADABLE)


def expired_outcome(notification: Notification, reason: str) -> Outcome:
    """How a notification ends that has expired; `reason`: of its last attempt, empty without one."""
    return permanent_outcome("Expired", f"expired {last_try(notification, reason)}")


def last_try(notification: Notification, reason: str) -> str:
    """How often it was tried, and what the last attempt came to, in words."""
    tries = notification.attempt
    attempts = counted(tries, "attempt")
    return f"after {attempts}, the last one: {reason}" if tries or reason else "before it was tried"
