"""A store on disk: one partition, one SQLite database, one thread. 250 may follow what it says is durable.

Whatever waits when the thread is ready for work becomes one commit: nothing waits for a fuller batch than
there is. The event loop never waits for the thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tubepost_dispatcher.store.bundle import pack
from tubepost_dispatcher.store.partition import RESERVE, Partition
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
from tubepost_dispatcher.store.put import Put

_LOG = logging.getLogger("tubepost.store")

LINGER: Final = 0.1
"""Seconds that what ended waits for a commit to ride on, before it gets one of its own."""
TOGETHER: Final = 1_000
"""What ended rides on a commit when there is as much of it: removed together, it costs less."""
TELLING: Final = 0.005
"""Seconds after which no more callers hear of a commit in this turn of the event loop."""
MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes of entries that wait for the disk; more are answered BUSY."""
_FAULT = Failure(FailureKind.FAILED, "internal error, see the log")


class _Ask(NamedTuple):
    """A question to the partition, put after the commit of what was asked for before it."""

    ask: Callable[[Partition], Callable[[], None] | None]
    """Returns what to call on the event loop."""
    failed: Callable[[Failure], None] | None


class _Jobs:
    """What the thread is to do: one commit, then answers."""

    __slots__ = ("again", "asks", "closing", "ended", "puts", "size")

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.size = 0
        """Bytes of the puts."""
        self.again: list[tuple[int, Entry]] = []
        self.ended: list[int] = []
        self.asks: list[_Ask] = []
        self.closing: list[Callable[[], None]] = []

    def add(self, later: _Jobs) -> None:
        """These too, in the same commit."""
        self.puts += later.puts
        self.size += later.size
        self.again += later.again
        self.ended += later.ended
        self.asks += later.asks
        self.closing += later.closing


class DiskStore:
    """Implements `Store` on disk.

    Args:
        path: directory of the partition; made when it does not exist.
        loop: calls back; the running loop by default.
        reserve: bytes of the volume that stay free.
        vfs: SQLite's way to the disk; empty: the operating system's.
        clock: monotonic seconds.
        before_removal: called in the thread before a commit that removes or rewrites entries: what must be
            durable by then.
    """

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        reserve: int = RESERVE,
        vfs: str = "",
        clock: Callable[[], float] = time.monotonic,
        before_removal: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._partition = Partition(path, vfs=vfs, reserve=reserve, clock=clock)
        self._before_removal = before_removal
        self._jobs: queue.SimpleQueue[_Jobs] = queue.SimpleQueue()
        self._next = _Jobs()
        """For the thread, at the end of this turn of the loop."""
        self._later = _Jobs()
        """For the thread, a little later."""
        self._handing_over: asyncio.Handle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._answers: deque[Callable[[], None]] = deque()
        """Those that are told something, and have not been called yet."""
        self._closed = False
        self._committer = threading.Thread(target=self._run, name=f"queue {path.name}", daemon=True)

    # -- on the event loop ----------------------------------------------------------------------------

    @property
    def figures(self) -> Figures:
        """The latest figures."""
        return self._partition.figures

    @property
    def shared(self) -> bool:
        """One process has it."""
        return False

    def doubtful(self, key: int) -> bool:
        """Nobody else had it."""
        del key
        return False

    def set_reserve(self, reserve: int) -> None:
        """From the next put on, so many bytes of the volume stay free."""
        self._partition.reserve = reserve

    def start(self, done: Done) -> None:
        """See `Store.start`."""
        self._committer.start()
        self._ask(lambda partition: partial(done, partition.open()), done)

    def put(
        self, entries: Sequence[Entry], done: Callable[[Sequence[int] | Failure], None], *, take: bool = True
    ) -> None:
        """See `Store.put`."""
        if self._closed:
            self._loop.call_soon(done, CLOSED)
            return
        # Here, where it has just been made: in the thread it would be fetched from another processor's cache.
        packed = pack(entries) if take and entries else None
        size = len(packed) if packed is not None else sum(len(one.body) for one in entries)
        if self._waiting + size > MOST_WAITING:
            busy = Failure(FailureKind.BUSY, f"{self._waiting} bytes wait for the disk")
            self._loop.call_soon(done, busy)
            return
        self._waiting += size
        self._next.size += size
        self._next.puts.append(Put(entries, done, take, packed))
        self._hand_over()

    def ended(self, key: int) -> None:
        """See `Store.ended`."""
        if not self._closed:
            self._later.ended.append(key)
            self._linger()

    def again(self, key: int, entry: Entry) -> None:
        """See `Store.again`."""
        if not self._closed:
            self._later.again.append((key, entry))
            self._linger()

    def release(self, keys: Iterable[int]) -> None:
        """See `Store.release`."""
        back = list(keys)

        def give_back(partition: Partition) -> None:
            partition.release(back)

        if not self._closed:
            self._next.asks.append(_Ask(give_back, None))
            self._hand_over()

    def due(
        self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None], *, lane: int = 0
    ) -> None:
        """See `Store.due`."""
        self._ask(lambda partition: partial(done, partition.due(now, limit, lane)), done)

    def next_due(self, done: Callable[[float | Failure | None], None], *, lane: int = 0) -> None:
        """See `Store.next_due`."""
        self._ask(lambda partition: partial(done, partition.next_due(lane)), done)

    def lanes(
        self, after: int | None, limit: int, done: Callable[[Sequence[LaneHead] | Failure], None]
    ) -> None:
        """See `Store.lanes`."""
        self._ask(lambda partition: partial(done, partition.lanes(after, limit)), done)

    def expired(self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.expired`."""
        self._ask(lambda partition: partial(done, partition.expired(now, limit)), done)

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
        self._ask(lambda partition: partial(done, partition.page(which, after, limit, patience)), done)

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
        self._ask(lambda partition: partial(done, partition.tally(which, now, after, patience)), done)

    def take(self, keys: Sequence[int], done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.take`."""
        wanted = tuple(keys)
        self._ask(lambda partition: partial(done, partition.take(wanted)), done)

    def close(self, done: Callable[[], None]) -> None:
        """See `Store.close`."""
        if self._closed:
            self._loop.call_soon(done)
            return
        self._next.closing.append(done)
        self._hand_over()
        self._closed = True

    def _ask(
        self, ask: Callable[[Partition], Callable[[], None] | None], failed: Callable[[Failure], None]
    ) -> None:
        if self._closed:
            self._loop.call_soon(failed, CLOSED)
        else:
            self._next.asks.append(_Ask(ask, failed))
            self._hand_over()

    def _hand_over(self) -> None:
        if self._handing_over is None:
            # At the end of the turn: what comes in one turn becomes one commit.
            self._handing_over = self._loop.call_soon(self._hand_over_now)

    def _linger(self) -> None:
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._lingered)

    def _lingered(self) -> None:
        self._lingering = None
        self._hand_over_now(all_of_it=True)

    def _hand_over_now(self, *, all_of_it: bool = False) -> None:
        if self._handing_over is not None:
            self._handing_over.cancel()
            self._handing_over = None
        jobs, self._next = self._next, _Jobs()
        later = self._later
        if all_of_it or jobs.asks or jobs.closing or len(later.ended) + len(later.again) >= TOGETHER:
            jobs.add(later)
            self._later = _Jobs()
            if self._lingering is not None:
                self._lingering.cancel()
                self._lingering = None
        self._jobs.put(jobs)

    # -- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            jobs = self._wait()
            self._work(jobs)
            if jobs.closing:
                self._guarded(self._partition.close)
                self._tell(jobs.closing)
                return

    def _wait(self) -> _Jobs:
        """Everything that waits, or nothing when there is work to do meanwhile."""
        idle = self._partition.idle_work
        try:
            jobs = self._jobs.get_nowait() if idle == 0.0 else self._jobs.get(timeout=idle)
        except queue.Empty:
            return _Jobs()
        while not self._jobs.empty():
            jobs.add(self._jobs.get())
        return jobs

    def _work(self, jobs: _Jobs) -> None:
        answers: list[Callable[[], None]] = []
        if self._before_removal is not None and (jobs.again or jobs.ended):
            self._guarded(self._before_removal)
        if jobs.puts or jobs.again or jobs.ended:
            try:
                self._partition.write(jobs.puts, jobs.again, jobs.ended, answers.append)
            except Exception:  # noqa: BLE001 - a fault of ours must not end the thread that others wait for
                _LOG.exception("queue: internal error")
                self._guarded(self._partition.fault)
                answers += [partial(put.done, _FAULT) for put in jobs.puts[len(answers) :]]
            self._tell(answers, jobs.size)
        for ask in jobs.asks:
            self._answer(ask)
        self._guarded(self._partition.tidy)
        self._guarded(self._partition.idle)

    def _answer(self, job: _Ask) -> None:
        try:
            told = job.ask(self._partition)
        except Exception:  # noqa: BLE001 - as in `_work`
            _LOG.exception("queue: internal error")
            self._guarded(self._partition.fault)
            told = partial(job.failed, _FAULT) if job.failed is not None else None
        if told is not None:
            self._tell([told])

    def _tell(self, answers: Sequence[Callable[[], None]], size: int = 0) -> None:
        if answers:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to be told
                self._loop.call_soon_threadsafe(self._told, answers, size)

    def _told(self, answers: Sequence[Callable[[], None]], size: int) -> None:
        """On the event loop again."""
        self._waiting -= size
        first = not self._answers
        self._answers.extend(answers)
        if first:
            self._call_answers()

    def _call_answers(self) -> None:
        """Call some of those that are told something; then sessions get their turn before the others."""
        until = self._loop.time() + TELLING
        while self._answers:
            try:
                self._answers[0]()
            except Exception:  # noqa: BLE001 - one caller's fault must not keep the others from hearing
                _LOG.exception("queue: a callback failed")
            self._answers.popleft()
            if self._loop.time() >= until:
                break
        if self._answers:
            self._loop.call_soon(self._call_answers)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # noqa: BLE001 - as in `_work`
            _LOG.exception("queue: internal error")
