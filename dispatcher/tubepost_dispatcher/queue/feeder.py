"""Reads back what is due, when there is room for it: out of the stores, into delivery, lane by lane.

What decides is in `lanes`; here is what waits for stores and for time. Everything runs in callbacks on the
event loop. Nothing of it is needed to keep a promise: a store knows by itself what it has, and all lanes are
looked through again now and then.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from tubepost_dispatcher.delivery.domain import DomainsInForce
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.queue.groups import MAILS, Gate, Groups
from tubepost_dispatcher.queue.item import Item
from tubepost_dispatcher.queue.lanes import Lane, Turns
from tubepost_dispatcher.queue.senders import MAIL_LANE, Senders
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import Failure, Kept, LaneHead

LOOK_AGAIN: Final = 1.0
"""Seconds until a store that has failed is asked again."""
SWEEP: Final = 10.0
"""Seconds between two looks for what has expired."""
SCANS: Final = 6
"""Sweeps for which what is known of lanes is good enough; then they are looked through again."""
LANES: Final = 200
"""Lanes that are looked at together."""
EXPIRED: Final = 100
"""Expired notifications that end together."""
TOGETHER: Final = 200
"""Notifications that are handed to delivery in one turn of the loop: some milliseconds."""
OVERDUE: Final = 60.0
"""Seconds that a notification waits for its turn with delivery, before it waits in the store again."""
PROBES: Final = 16
"""Notifications of a lane from which a probe is chosen."""


class Taker(Protocol):
    """What is done with what was read. For each one `Feeder.gone` is called, sooner or later."""

    def take(self, lane: Lane, one: Kept) -> None:
        """It is due."""

    def expire(self, lane: Lane, one: Kept) -> None:
        """Its time is over. `gone` is not called for it."""

    def recall(self, slot: Slot, keys: Collection[int], *, late: bool) -> None:
        """Give back to the store what was not sent of these; `late`: since it has waited for too long."""


class Feeder:
    """Lives on one event loop; every method is called on it.

    Args:
        slots: the partitions, by number; the queue's own dictionary.
        taker: gets what was read.
        domains: those in force.
        gate: says whether the relay takes mails.
        loop: schedules.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    def __init__(
        self,
        slots: Mapping[int, Slot],
        taker: Taker,
        domains: DomainsInForce,
        gate: Gate,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._slots = slots
        self._taker = taker
        self._groups = Groups(domains, gate, clock)
        self._loop = loop
        self._clock = clock
        self._wall = wall
        self._turns = Turns()
        self._senders: dict[Slot, Senders] = {}
        self._arrived: deque[tuple[Lane, Kept]] = deque()
        self._handing_over = False
        self._feeding: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sweeps = 0
        self._housekeeping: asyncio.TimerHandle | None = loop.call_later(SWEEP, self._keep_house)
        self._stopped = False
        self.describe = self._groups.describe

    @property
    def active(self) -> int:
        """Notifications in memory, those that are being read included."""
        return self._turns.active

    # -- what the queue tells -------------------------------------------------------------------------

    def lane(self, slot: Slot, notification: Notification) -> Lane:
        """The lane of a notification that comes from its sender."""
        return self._of(slot).lane(notification)

    def mails(self, slot: Slot) -> Lane:
        """The lane of the mails of a partition."""
        return self._of(slot).known(MAIL_LANE, MAILS)

    def known(self, slot: Slot, one: Kept) -> Lane:
        """The lane of an entry."""
        return self._of(slot).known(one.entry.lane, one.entry.domain)

    @property
    def domains(self) -> frozenset[str]:
        """Those of all lanes."""
        lanes = (lane for senders in self._senders.values() for lane in senders)
        return frozenset(lane.domain for lane in lanes) - {MAILS}

    def reserve(self, items: Sequence[Item]) -> bool:
        """Whether these may stay in memory, fresh as they are: all, or none. `gone` takes it back."""
        if self._stopped:
            return False
        reserve = self._turns.reserve
        for number, item in enumerate(items):
            if not reserve(item.lane):
                for reserved in items[:number]:
                    self._turns.gone(reserved.lane, fresh=True)
                return False
        return True

    def stored(self, lane: Lane, due: float) -> None:
        """One that is not in memory is due then."""
        if self._turns.stored(lane, due, self._wall()):
            self._feed_at(due)

    def gone(self, lane: Lane, *, fresh: bool) -> None:
        """One is not in memory any more; `fresh`: it came from its sender."""
        if self._turns.gone(lane, fresh=fresh):
            self._feed_soon()

    def failed(self, lane: Lane, started: float) -> None:
        """The route failed one that began at `started`, monotonic seconds. To be told before `gone`."""
        now, group = self._clock(), lane.group
        group.window.failed(started, now)
        self._groups.look_at(group, now)

    def swap(self, domains: DomainsInForce) -> None:
        """Another configuration is in force."""
        group_of = self._groups.swap(domains)
        for senders in self._senders.values():
            self._turns.regroup(senders, group_of)
        self._groups.forget_windows()
        self._feed_soon()

    def look_again(self) -> None:
        """There may be more in the stores than is known, and routes may take something again."""
        for slot in self._slots.values():
            self._scan(slot)
        self._feed_soon()

    def stop(self) -> None:
        """Read nothing any more."""
        self._stopped = True
        for handle in (self._feeding, self._timer, self._housekeeping):
            if handle is not None:
                handle.cancel()

    def _of(self, slot: Slot) -> Senders:
        found = self._senders.get(slot)
        if found is None:
            found = self._senders[slot] = Senders(slot, self._groups.of)
        return found

    # -- reading --------------------------------------------------------------------------------------

    def _feed_soon(self) -> None:
        if self._feeding is None and not self._stopped:
            self._feeding = self._loop.call_soon(self._feed)

    def _feed_at(self, due: float) -> None:
        wait = due - self._wall()
        if wait <= 0.0:
            self._feed_soon()
        elif not self._stopped and wait < math.inf:
            at = self._clock() + wait
            if self._timer is not None:
                if self._timer.when() <= at:
                    return
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self._feed()

    def _feed(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
            self._feeding = None
        now, wall = self._clock(), self._wall()
        self._turns.line_up(wall)
        look_in = math.inf
        for group in self._groups:
            if group.ready:
                self._groups.look_at(group, now)
                look_in = min(look_in, self._groups.opens_in(group, now))
        for lane, count in self._turns.reads(self._groups):
            limit = max(count, PROBES) if lane.group.window.probing else count
            lane.slot.store.due(wall, limit, partial(self._came, lane, count, limit), lane=lane.ident)
        self._feed_at(min(self._turns.next_due(), wall + look_in))

    def _came(self, lane: Lane, count: int, limit: int, answer: Sequence[Kept] | Failure) -> None:
        store = lane.slot.store
        if isinstance(answer, Failure):
            self._turns.read(lane, count, 0, more=False)
            self._ask_later(lane)
            return
        if self._stopped or lane.slot.leaving:
            # Nothing more is read of the lane.
            store.release([one.key for one in answer])
            self._turns.read(lane, count, 0, more=False)
            return
        taken = answer
        if len(answer) > count:
            best = sorted(answer, key=_promise)
            taken = best[:count]
            store.release([one.key for one in best[count:]])
        more = len(answer) == limit or len(taken) < len(answer)
        self._turns.read(lane, count, len(taken), more=more)
        if more:
            self._feed_soon()
        else:
            store.next_due(partial(self._following, lane), lane=lane.ident)
        self._arrived.extend((lane, one) for one in taken)
        if self._arrived and not self._handing_over:
            # Not now: the answers for many lanes may have come in this turn.
            self._handing_over = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing_over = False
        for _ in range(min(TOGETHER, len(self._arrived))):
            lane, one = self._arrived.popleft()
            if self._stopped or lane.slot.leaving:
                lane.slot.store.release([one.key])
                self.gone(lane, fresh=False)
            else:
                self._taker.take(lane, one)
        if self._arrived:
            self._handing_over = True
            self._loop.call_soon(self._hand_over)

    def _following(self, lane: Lane, answer: float | Failure | None) -> None:
        if isinstance(answer, Failure):
            self._ask_later(lane)
            return
        self._turns.following(lane, math.inf if answer is None else answer, self._wall())
        self._feed_at(lane.head)

    def _ask_later(self, lane: Lane) -> None:
        if not self._stopped and not lane.slot.leaving:
            ask = partial(lane.slot.store.next_due, partial(self._following, lane), lane=lane.ident)
            self._loop.call_later(LOOK_AGAIN, ask)

    # -- now and then ---------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        self._housekeeping = self._loop.call_later(SWEEP, self._keep_house)
        for gone in self._senders.keys() - set(self._slots.values()):
            if not gone.active:
                del self._senders[gone]
        self._sweeps += 1
        self._feed_soon()  # the wall clock may have been set
        for slot in self._slots.values():
            figures = slot.store.figures
            set_aside = (figures.quarantined, figures.damaged, figures.failure is None)
            if slot.set_aside != set_aside:
                # What is saved of a file that was set aside comes back little by little.
                slot.set_aside, slot.scans = set_aside, SCANS * 2
            # Of one that expires meanwhile the sweep would not hear.
            # A throttle's turns are not given back: what waits for one goes on waiting.
            before = self._clock() - OVERDUE
            active = slot.active.items()
            late = [key for key, one in active if one.started < before and one.domain.throttle is None]
            if late:
                self._taker.recall(slot, late, late=True)
                slot.scans = max(slot.scans, 1)
            if slot.scans or slot.store.shared or not self._sweeps % SCANS:
                slot.scans = max(0, slot.scans - 1)
                self._scan(slot)
            if slot.opened:
                slot.store.expired(self._wall(), EXPIRED, partial(self._expired, slot))

    def _expired(self, slot: Slot, answer: Sequence[Kept] | Failure) -> None:
        if isinstance(answer, Failure):
            return
        if self._stopped or slot.leaving:
            slot.store.release([one.key for one in answer])
            return
        for one in answer:
            self._taker.expire(self.known(slot, one), one)
        if len(answer) == EXPIRED:
            slot.store.expired(self._wall(), EXPIRED, partial(self._expired, slot))

    def _scan(self, slot: Slot) -> None:
        if slot.opened and not slot.scanning and not slot.leaving and not self._stopped:
            slot.scanning = True
            slot.store.lanes(None, LANES, partial(self._scanned, slot))

    def _scanned(self, slot: Slot, answer: Sequence[LaneHead] | Failure) -> None:
        if self._stopped or slot.leaving:
            return
        if isinstance(answer, Failure):
            slot.scanning = False
            self._loop.call_later(LOOK_AGAIN, self._scan, slot)
            return
        senders = self._of(slot)
        for head in answer:
            self.stored(senders.known(head.lane, head.domain), head.due)
        if len(answer) == LANES:
            slot.store.lanes(answer[-1].lane, LANES, partial(self._scanned, slot))
        else:
            slot.scanning = False


def _promise(one: Kept) -> tuple[int, float]:
    """What is likeliest to succeed comes first: tried least often, then latest accepted."""
    return one.entry.attempt, -one.entry.accepted
