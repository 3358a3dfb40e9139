"""From notifications to what is stored of them, and back."""

from __future__ import annotations

import logging

from tubepost_dispatcher.delivery.domain import Route
from tubepost_dispatcher.notification import Notification, decode
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.store.port import Entry, Kept
from tubepost_dispatcher.store.port import entry as store_entry

_LOG = logging.getLogger("tubepost.queue")


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
