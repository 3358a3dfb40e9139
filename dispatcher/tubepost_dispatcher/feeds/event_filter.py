"""Which events a logger takes. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tubepost_dispatcher.feeds.events import EVENT_KINDS, EventKind, LogEvent
from tubepost_dispatcher.feeds.json_format import is_dead

_KINDS: Final[dict[str, EventKind]] = {
    "Delivered": "delivery",
    "Permanent": "permfail",
    "Transient": "tempfail",
}
"""The kind of event that tells of an outcome."""


class EventFilter:
    """What a logger takes of the events of its kinds.

    Args:
        outcomes: `Delivered`, `Permanent`, `Transient`; empty: all.
        reasons: those of failures; empty: all. With reasons, deliveries are not taken.
        dead_tokens: nothing but what tells of a dead token (410).
    """

    def __init__(
        self, outcomes: Collection[str] = (), reasons: Collection[str] = (), *, dead_tokens: bool = False
    ) -> None:
        wanted = {_KINDS[one] for one in outcomes} or set(EVENT_KINDS)
        if reasons or dead_tokens:
            wanted.discard("delivery")
        if dead_tokens:
            wanted.discard("tempfail")
        self.kinds: frozenset[EventKind] = frozenset(wanted)
        """No event of another kind is taken."""
        self._reasons = frozenset(reasons)
        self._dead_tokens = dead_tokens
        self.selective = bool(reasons or dead_tokens)
        """Events of these kinds have to be looked at one by one."""

    def takes(self, event: LogEvent) -> bool:
        """Whether it takes an event of one of its kinds."""
        if self._reasons and event.reason not in self._reasons:
            return False
        return not self._dead_tokens or is_dead(event)
