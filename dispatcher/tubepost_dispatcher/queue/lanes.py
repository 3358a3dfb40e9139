"""Whose turn it is: lanes, which share routes, which share memory. Pure; times are unix seconds, passed in.

A lane is what one sender has for one domain. Lanes of one group take turns; a group, which is all lanes with
the same routes, has a window. Nobody waits for a lane of another group.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.queue.shares import group_room, lane_room
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.queue.window import Window

MOST_ACTIVE: Final = 8_192
"""Notifications of one worker that delivery has at a time."""
BATCH: Final = 500
"""Entries that are read back of one lane at a time."""
QUANTUM: Final = 4
"""Once a quarter of what a group has could be added, more is read for it: not one by one."""


class Group:
    """All lanes that share routes, or wait for the same change of the configuration."""

    __slots__ = ("active", "closed", "domain", "low", "mails", "most", "ready", "window")

    def __init__(
        self, window: Window, domain: Domain | None = None, most: int = MOST_ACTIVE, *, mails: bool = False
    ) -> None:
        self.window = window
        self.mails = mails
        """It has mails for the relay, and no notifications."""
        self.most = most
        """Notifications, whatever the window: no more than a throttle lets through soon."""
        self.domain = domain
        """One of those with these routes; None: no domain in force has notifications of this group."""
        self.active = 0
        """Notifications of it that are in memory, those that are being read included."""
        self.ready: deque[Lane] = deque()
        """Lanes of which something is due in the store, in the order of their turns."""
        self.closed = False
        """Its routes take nothing at present."""
        self.low = -1
        """Once `active` is down to this, there is room again; -1: there was room for all."""


class Lane:
    """The notifications of one sender for one domain in one partition."""

    __slots__ = ("active", "domain", "fresh", "group", "head", "ident", "place", "reading", "slot")

    def __init__(self, ident: int, domain: str, slot: Slot, group: Group) -> None:
        self.ident = ident
        """As it stands in the store."""
        self.domain = domain
        self.slot = slot
        self.group = group
        self.active = 0
        self.fresh = 0
        """Of `active`: those that came from their sender, not from the store."""
        self.head = math.inf
        """When the first of those in the store is due, as far as is known."""
        self.reading = False
        self.place = False
        """It stands in `ready` of its group."""

    @property
    def idle(self) -> bool:
        """Nothing of it is in memory or known to be in the store."""
        return not self.active and not self.reading and not self.place and self.head == math.inf


class Turns:
    """Decides what is read next, and whether what comes from a sender stays in memory.

    Args:
        most: notifications in memory at a time.
    """

    def __init__(self, most: int = MOST_ACTIVE) -> None:
        self.most = most
        self.active = 0
        """Notifications in memory, those that are being read included."""
        self._low = -1
        """Once `active` is down to this, there is room again; -1: memory was not what was short."""
        self._later: list[tuple[float, int, Lane]] = []
        """A heap of the heads of lanes that are not due; some are out of date."""
        self._number = 0

    # -- from the sender ------------------------------------------------------------------------------

    def reserve(self, lane: Lane) -> bool:
        """Whether one more from the sender may stay in memory; if so, it is counted until `gone`."""
        group = lane.group
        window = group.window
        if lane.place or lane.reading:
            room = self.room(lane, fresh=True)
        else:
            # As `room` has it, in few steps: nearly all that comes, comes here.
            free = self.most - self.active
            room = min(window.size, group.most, free) - group.active
            if lane.active >= 2 * room:
                room = 0
        if room <= 0 or group.closed:
            window.limits = True
            return False
        lane.active += 1
        lane.fresh += 1
        group.active += 1
        self.active += 1
        return True

    def room(self, lane: Lane, *, fresh: bool) -> int:
        """How many more of a lane may be in memory."""
        group = lane.group
        active = lane.active
        part = lane.fresh if fresh else active - lane.fresh
        room = group_room(min(group.window.size, group.most), group.active, self.most - self.active)
        return lane_room(room, active, part, fresh=fresh, backlog=lane.place or lane.reading)

    def gone(self, lane: Lane, *, fresh: bool) -> bool:
        """One is not in memory any more. Whether there is room for those that wait for it."""
        group = lane.group
        lane.active -= 1
        group.active -= 1
        self.active -= 1
        if fresh:
            lane.fresh -= 1
        return (group.low >= 0 and self._worth_reading(group)) or self.active <= self._low

    def _worth_reading(self, group: Group) -> bool:
        """Whether there is room for more than a few of a group that had too little."""
        if group.active <= group.low:
            return True
        room = group_room(min(group.window.size, group.most), group.active, self.most - self.active)
        if room * QUANTUM < group.active or not group.ready:
            return False
        first = group.ready[0]
        return self.room(first, fresh=False) * QUANTUM >= first.active

    def _count(self, lane: Lane, more: int) -> None:
        lane.active += more
        lane.group.active += more
        self.active += more

    # -- from the store -------------------------------------------------------------------------------

    def stored(self, lane: Lane, due: float, now: float) -> bool:
        """One that is not taken is due then. Whether that is news: something is to be read, or earlier."""
        if due >= lane.head:
            return False
        lane.head = due
        if lane.reading or lane.place:
            return False
        if due <= now:
            self._line_up(lane)
        else:
            self._number += 1
            heapq.heappush(self._later, (due, self._number, lane))
        return True

    def line_up(self, now: float) -> None:
        """Let those wait for their turn whose time has come."""
        while self._later and self._later[0][0] <= now:
            due, _, lane = heapq.heappop(self._later)
            if lane.head == due and not lane.reading and not lane.place:
                self._line_up(lane)

    def reads(self, groups: Iterable[Group]) -> list[tuple[Lane, int]]:
        """What to read now: so many of a lane, which are counted until `read` says how many came."""
        wanted: list[tuple[Lane, int]] = []
        self._low = -1
        for group in groups:
            group.low = -1
            if not group.closed:
                wanted += self._reads_of(group)
        return wanted

    def _reads_of(self, group: Group) -> list[tuple[Lane, int]]:
        wanted: list[tuple[Lane, int]] = []
        ready = group.ready
        for _ in range(len(ready)):
            if group_room(min(group.window.size, group.most), group.active, self.most - self.active) <= 0:
                break
            lane = ready.popleft()
            count = min(self.room(lane, fresh=False), BATCH)
            if count <= 0:
                ready.append(lane)
                continue
            lane.place = False
            lane.reading = True
            lane.head = math.inf
            self._count(lane, count)
            wanted.append((lane, count))
        group.window.limits = bool(ready)
        if ready:
            group.low = group.active - group.active // QUANTUM - 1
            if self.most - self.active < group.window.size:
                self._low = self.active - self.active // QUANTUM - 1
        return wanted

    def read(self, lane: Lane, asked: int, came: int, *, more: bool) -> None:
        """So many came; `more`: others may be due. Else `following` is to be told when the next one is."""
        self._count(lane, came - asked)
        if more:
            lane.group.window.limits = True
            lane.reading = False
            lane.head = -math.inf
            self._line_up(lane)

    def following(self, lane: Lane, due: float, now: float) -> None:
        """After `read`: when the first of what is left is due; infinite: nothing is left."""
        lane.reading = False
        head = min(lane.head, due)
        lane.head = math.inf
        if head < math.inf:
            self.stored(lane, head, now)

    def next_due(self) -> float:
        """When the next lane is due that is not due yet; infinite without."""
        while self._later:
            due, _, lane = self._later[0]
            if lane.head == due and not lane.reading and not lane.place:
                return due
            heapq.heappop(self._later)
        return math.inf

    def _line_up(self, lane: Lane) -> None:
        if not lane.place:
            lane.place = True
            lane.group.ready.append(lane)

    # -- another configuration ------------------------------------------------------------------------

    def regroup(self, lanes: Iterable[Lane], group_of: Callable[[str], Group]) -> None:
        """Put all lanes into the groups that are theirs from now on; `group_of` a domain."""
        for lane in lanes:
            lane.group = group = group_of(lane.domain)
            group.active += lane.active
            if lane.place:
                group.ready.append(lane)
