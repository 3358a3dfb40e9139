"""A store on a JetStream stream that all replicas share. 250 may follow what it says is durable.

What is put is one message for all that came in a turn of the event loop, a lease; its owner delivers from
memory, and removes the message. What is to wait becomes a message of its own, which the server's schedule
makes anyone's a little after its time, should its owner not have taken it. Nothing waits for NATS: everything
is requests and callbacks, one task sends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from tubepost_dispatcher.store.jetstream.api import Api
from tubepost_dispatcher.store.jetstream.claims import Claims
from tubepost_dispatcher.store.jetstream.condition import Condition
from tubepost_dispatcher.store.jetstream.holding import Holding
from tubepost_dispatcher.store.jetstream.link import Link
from tubepost_dispatcher.store.jetstream.puts import Put, Puts
from tubepost_dispatcher.store.jetstream.reading import Reading
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.jetstream.subjects import Subjects
from tubepost_dispatcher.store.jetstream.walk import Walk
from tubepost_dispatcher.store.port import (
    CLOSED,
    Done,
    Entry,
    Failure,
    FailureKind,
    Figures,
    Filter,
    Kept,
    LaneHead,
    Page,
    Tally,
)

_LOG = logging.getLogger("tubepost.store")

LINGER: Final = 0.05
"""Seconds that what ended waits for others, before it is removed."""
TICK: Final = 0.5
"""Seconds between two looks at leases."""
INFO: Final = 2.0
"""Seconds between two looks at the stream's state,"""
IDLE_INFO: Final = 10.0
"""where nothing was written."""
OPENING: Final = 5.0
"""Seconds after which whoever waits for the store to open is told that it does not."""
MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes of entries that wait for NATS; more are answered BUSY."""
CLOSING: Final = 1.0
"""Seconds for what is under way at the end."""
_AWAY = Failure(FailureKind.AWAY, "NATS does not answer")


class JetStreamStore:
    """Implements `Store` on JetStream. Lives on one event loop.

    Args:
        settings: where and how.
        loop: runs it; the running loop by default.
        wall: unix seconds.
        before_removal: called in a thread before entries are removed or written anew: what must be durable
            by then.
        lost: told the keys of entries that are anyone's again, since NATS was away for too long.
    """

    def __init__(
        self,
        settings: JetStreamSettings,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        wall: Callable[[], float] = time.time,
        before_removal: Callable[[], None] | None = None,
        lost: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._wall = wall
        self._before_removal = before_removal
        self._lost = lost
        self._link = Link(settings, self._loop)
        self._api = Api(self._link, settings.stream)
        self._holding = Holding(self._api, Subjects(settings.prefix, secrets.token_hex(6)), self._loop, wall)
        self._claims = Claims(self._holding)
        self._puts = Puts(self._holding, self._wrote, self._put_over)
        self._reading = Reading(self._holding, self._claims)
        self._walk = Walk(self._holding, self._claims)
        self._condition = Condition(self._api, settings, self._holding, self._loop, self._tell_started, wall)
        self._started: Done | None = None
        self._closed = False
        self._waiting = 0
        self._taken: list[Put] = []
        self._left: list[Put] = []
        self._handing_over = False
        self._ended: list[int] = []
        self._again: list[tuple[int, Entry]] = []
        self._lingering: asyncio.TimerHandle | None = None
        self._removing = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._commits = 0
        self._commit_seconds = 0.0
        self._seen_commits = -1
        self._looked = 0.0

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def figures(self) -> Figures:
        """The latest figures; entries and size are those of the whole stream, which others share."""
        holding = self._holding
        mine = len(holding.leases) + len(holding.known)
        others = holding.messages - holding.leases.messages - holding.known.messages
        return Figures(
            holding.size,
            0,
            mine + max(0, others),
            self._commits,
            self._commit_seconds,
            damaged=self._claims.damaged,
            failure=CLOSED if self._closed else self._condition.failure or self._condition.full,
            stream=self._condition.states,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """By what a 250 is worth less, in words; empty: by nothing."""
        return self._condition.warnings

    @property
    def shared(self) -> bool:
        """Others have it too: what is due may be found without having been put here."""
        return True

    def doubtful(self, key: int) -> bool:
        """See `Store.doubtful`."""
        lease = self._holding.leases.of(key)
        return lease is not None and key in lease.doubtful

    def start(self, done: Done) -> None:
        """See `Store.start`."""
        self._started = done
        self._timers["opening"] = self._loop.call_later(OPENING, self._tell_started)
        self._link.start(self._condition.connected, self._condition.disconnected)
        self._tick()

    def renew(self, settings: JetStreamSettings) -> None:
        """Connect with these settings from now on; of the same stream, whose bounds may have changed."""
        before, self._condition.settings = self._condition.settings, settings
        again = not settings.reached_as(before)
        self._link.renew(settings, again=again)
        if not again and settings._replace(tls=None) != before._replace(tls=None):
            self._condition.renewed()

    def _tell_started(self) -> None:
        done, self._started = self._started, None
        if done is not None:
            done(self._condition.failure)

    # -- now and then ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timers["tick"] = self._loop.call_later(TICK, self._tick)
        now = self._loop.time()
        lost = self._holding.give_up()
        if lost and self._lost is not None:
            self._lost(lost)
        if self._condition.failure is None:
            self._holding.keep()
            pause = IDLE_INFO if self._seen_commits == self._commits else INFO
            if now - self._looked >= pause:
                self._looked, self._seen_commits = now, self._commits
                self._condition.look()

    # -- into it --------------------------------------------------------------------------------------

    def put(
        self, entries: Sequence[Entry], done: Callable[[Sequence[int] | Failure], None], *, take: bool = True
    ) -> None:
        """See `Store.put`."""
        failure = CLOSED if self._closed else self._condition.failure or self._condition.full
        one = Put(entries, done)
        if failure is None and self._waiting + one.size > MOST_WAITING:
            failure = Failure(FailureKind.BUSY, f"{self._waiting} bytes wait for NATS")
        large = max((len(entry.body) for entry in entries), default=0)
        if failure is None and large + 4096 > self._holding.max_payload:
            text = f"a notification of {large} bytes is larger than the server's max_payload"
            failure = Failure(FailureKind.FULL, text)
        if failure is not None or not entries:
            answer: Sequence[int] | Failure = [] if failure is None else failure
            self._loop.call_soon(done, answer)
            return
        self._waiting += one.size
        one.mark = self._holding.begin()
        (self._taken if take else self._left).append(one)
        if not self._handing_over:
            self._handing_over = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """At the end of the turn: what came in one turn is written together."""
        self._handing_over = False
        taken, self._taken = self._taken, []
        left, self._left = self._left, []
        self._puts.write(taken, left)

    def _wrote(self, seconds: float) -> None:
        self._commits += 1
        self._commit_seconds += seconds

    def _put_over(self, one: Put) -> None:
        self._waiting -= one.size
        self._holding.end(one.mark)

    # -- out of it ------------------------------------------------------------------------------------

    def ended(self, key: int) -> None:
        """See `Store.ended`."""
        if self._holding.leases.of(key) is not None:
            self._ended.append(key)
            self._linger()

    def again(self, key: int, entry: Entry) -> None:
        """See `Store.again`."""
        if self._holding.leases.of(key) is not None:
            self._again.append((key, entry))
            self._linger()

    def release(self, keys: Iterable[int]) -> None:
        """See `Store.release`."""
        self._claims.give_back_keys(keys)

    def _linger(self) -> None:
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._remove)

    def _remove(self) -> None:
        """Remove what has ended, and write anew what is to wait."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        ended, self._ended = self._ended, []
        again, self._again = self._again, []
        if not ended and not again:
            return
        mark = self._holding.begin()

        def write() -> None:
            for key in ended:
                self._holding.drop(key)
            for key, entry in again:
                self._holding.move(key, entry)

        def durable(before: asyncio.Future[None] | None) -> None:
            if before is not None and not before.cancelled() and (error := before.exception()) is not None:
                _LOG.error("queue: internal error before a removal", exc_info=error)
            self._holding.end(mark, write)

        if self._before_removal is None:
            durable(None)
        else:
            self._loop.run_in_executor(None, self._before_removal).add_done_callback(durable)

    # -- asking ---------------------------------------------------------------------------------------

    def _ask(self, ask: Callable[[], None], done: Callable[[Failure], None]) -> None:
        """Ask once what was asked for before is durable, and the answer can be known."""

        def now() -> None:
            failure = CLOSED if self._closed else self._condition.failure
            if failure is not None:
                self._loop.call_soon(done, failure)
            else:
                ask()

        if self._closed or self._condition.failure is not None:
            now()
            return
        self._remove()
        self._holding.after_writes(now)

    def due(
        self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None], *, lane: int = 0
    ) -> None:
        """See `Store.due`."""
        self._ask(lambda: self._reading.due(now, limit, lane, partial(self._tell_kept, done)), done)

    def _tell_kept(self, done: Callable[[Sequence[Kept] | Failure], None], found: list[Kept] | None) -> None:
        self._loop.call_soon(done, _AWAY if found is None else found)

    def next_due(self, done: Callable[[float | Failure | None], None], *, lane: int = 0) -> None:
        """See `Store.next_due`."""

        def ask() -> None:
            self._loop.call_soon(done, self._reading.next_due(lane))

        self._ask(ask, done)

    def lanes(
        self, after: int | None, limit: int, done: Callable[[Sequence[LaneHead] | Failure], None]
    ) -> None:
        """See `Store.lanes`."""

        def told(found: list[LaneHead] | None) -> None:
            self._loop.call_soon(done, _AWAY if found is None else found)

        self._ask(lambda: self._reading.lanes(after, limit, told), done)

    def expired(self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.expired`."""
        self._ask(lambda: self._walk.expired(now, limit, partial(self._tell_kept, done)), done)

    def page(
        self,
        which: Filter,
        after: int | None,
        limit: int,
        done: Callable[[Page | Failure], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """See `Store.page`."""

        def told(page: Page | None) -> None:
            self._loop.call_soon(done, _AWAY if page is None else page)

        self._ask(lambda: self._walk.page(which, after, limit, patience, told), done)

    def tally(
        self,
        which: Filter,
        now: float,
        after: int | None,
        done: Callable[[Tally | Failure], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """See `Store.tally`."""

        def told(tally: Tally | None) -> None:
            self._loop.call_soon(done, _AWAY if tally is None else tally)

        self._ask(lambda: self._walk.tally(which, now, after, patience, told), done)

    def take(self, keys: Sequence[int], done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.take`."""
        wanted = list(keys)
        if not wanted and self._condition.failure is None:
            self._remove()
            for lease in self._holding.leases:
                if lease.changed and lease.entries and not lease.writing:
                    self._holding.renew(lease)
        self._ask(lambda: self._reading.take(wanted, partial(self._tell_kept, done)), done)

    # -- the end --------------------------------------------------------------------------------------

    def close(self, done: Callable[[], None]) -> None:
        """See `Store.close`."""
        if self._closed:
            self._loop.call_soon(done)
            return
        self._hand_over()
        self._remove()
        self._closed = True
        self._condition.close()
        for timer in self._timers.values():
            timer.cancel()
        self._closing = self._loop.create_task(self._close(done))

    async def _close(self, done: Callable[[], None]) -> None:
        """What is ours is anyone's at once; then there is nothing more to say."""
        holding = self._holding
        if self._condition.failure is None:
            try:
                async with asyncio.timeout(CLOSING):
                    await self._writes_over()
                    holding.closing = True
                    for lease in holding.leases:
                        if lease.entries and not lease.writing:
                            holding.renew(lease, shortly=True)
                    await self._writes_over()
            except TimeoutError:
                _LOG.warning("queue: NATS has not answered at the end; what was under way is anyone's later")
        await self._link.close()
        holding.fail_waiters()
        done()

    async def _writes_over(self) -> None:
        over = asyncio.Event()
        self._holding.after_writes(over.set)
        await over.wait()
