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
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tubepost_dispatcher.store.partition import RESERVE, Partition, Put
from tubepost_dispatcher.store.port import (
    DomainCount,
    Done,
    Entry,
    Failure,
    FailureKind,
    Figures,
    Filter,
    Kept,
    Page,
    Tally,
)

_LOG = logging.getLogger("tubepost.store")

LINGER: Final = 0.1
"""Seconds that what ended waits for a commit to ride on, before it gets one of its own."""
MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes of entries that wait for the disk; more are answered BUSY."""
_CLOSED = Failure(FailureKind.CLOSED, "the queue is closed")
_FAULT = Failure(FailureKind.FAILED, "internal error, see the log")


class _Ended(NamedTuple):
    key: int


class _Again(NamedTuple):
    key: int
    entry: Entry


class _Ask(NamedTuple):
    """A question to the partition, put after the commit of what was asked for before it."""

    ask: Callable[[Partition], Callable[[], None] | None]
    """Returns what to call on the event loop."""
    failed: Callable[[Failure], None] | None


class _Close(NamedTuple):
    done: Callable[[], None]


_Job = Put | _Ended | _Again | _Ask | _Close


class DiskStore:
    """Implements `Store` on disk.

    Args:
        path: directory of the partition; made when it does not exist.
        loop: calls back; the running loop by default.
        reserve: bytes of the volume that stay free.
        vfs: SQLite's way to the disk; empty: the operating system's.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        reserve: int = RESERVE,
        vfs: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._partition = Partition(path, vfs=vfs, reserve=reserve, clock=clock)
        self._jobs: queue.SimpleQueue[list[_Job]] = queue.SimpleQueue()
        self._next: list[_Job] = []
        """For the thread, at the end of this turn of the loop or a little later."""
        self._handing_over: asyncio.Handle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"queue {path.name}", daemon=True)

    # -- on the event loop ----------------------------------------------------------------------------

    @property
    def figures(self) -> Figures:
        """The latest figures."""
        return self._partition.figures

    def start(self, done: Done) -> None:
        """See `Store.start`."""
        self._thread.start()
        self._ask(lambda partition: partial(done, partition.open()), done)

    def put(
        self, entries: Sequence[Entry], done: Callable[[Sequence[int] | Failure], None], *, take: bool = True
    ) -> None:
        """See `Store.put`."""
        if self._closed:
            self._loop.call_soon(done, _CLOSED)
            return
        size = sum(len(one.body) for one in entries)
        if self._waiting + size > MOST_WAITING:
            busy = Failure(FailureKind.BUSY, f"{self._waiting} bytes wait for the disk")
            self._loop.call_soon(done, busy)
            return
        self._waiting += size

        def stored(answer: Sequence[int] | Failure) -> None:
            self._waiting -= size
            done(answer)

        self._hand_over(Put(entries, stored, take))

    def ended(self, key: int) -> None:
        """See `Store.ended`."""
        self._linger(_Ended(key))

    def again(self, key: int, entry: Entry) -> None:
        """See `Store.again`."""
        self._linger(_Again(key, entry))

    def release(self, keys: Iterable[int]) -> None:
        """See `Store.release`."""
        back = list(keys)

        def give_back(partition: Partition) -> None:
            partition.release(back)

        if not self._closed:
            self._hand_over(_Ask(give_back, None))

    def due(self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.due`."""
        self._ask(lambda partition: partial(done, partition.due(now, limit)), done)

    def next_due(self, done: Callable[[float | Failure | None], None]) -> None:
        """See `Store.next_due`."""
        self._ask(lambda partition: partial(done, partition.next_due()), done)

    def page(
        self, which: Filter, after: int | None, limit: int, done: Callable[[Page | Failure], None]
    ) -> None:
        """See `Store.page`."""
        self._ask(lambda partition: partial(done, partition.page(which, after, limit)), done)

    def tally(
        self, which: Filter, now: float, after: int | None, done: Callable[[Tally | Failure], None]
    ) -> None:
        """See `Store.tally`."""
        self._ask(
            lambda partition: partial(
                done, partition.reading(lambda database: database.tally(which, now, after))
            ),
            done,
        )

    def take(self, keys: Sequence[int], done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.take`."""
        wanted = tuple(keys)
        self._ask(lambda partition: partial(done, partition.take(wanted)), done)

    def counts(self, done: Callable[[Sequence[DomainCount] | Failure], None]) -> None:
        """See `Store.counts`."""
        self._count([], None, done)

    def close(self, done: Callable[[], None]) -> None:
        """See `Store.close`."""
        if self._closed:
            self._loop.call_soon(done)
            return
        self._hand_over(_Close(done))
        self._closed = True

    def _count(
        self,
        so_far: list[DomainCount],
        at: tuple[float, int] | None,
        done: Callable[[Sequence[DomainCount] | Failure], None],
    ) -> None:
        def step(partition: Partition) -> Callable[[], None]:
            following = partition.count(so_far, at)
            if isinstance(following, Failure):
                return partial(done, following)
            if following is False:
                return partial(done, so_far)
            return partial(self._count, so_far, None if following is True else following, done)

        self._ask(step, done)

    def _ask(
        self, ask: Callable[[Partition], Callable[[], None] | None], failed: Callable[[Failure], None]
    ) -> None:
        if self._closed:
            self._loop.call_soon(failed, _CLOSED)
        else:
            self._hand_over(_Ask(ask, failed))

    def _hand_over(self, job: _Job) -> None:
        self._next.append(job)
        if self._handing_over is None:
            # At the end of the turn: what comes in one turn becomes one commit.
            self._handing_over = self._loop.call_soon(self._hand_over_now)

    def _linger(self, job: _Job) -> None:
        if self._closed:
            return
        self._next.append(job)
        if self._handing_over is None and self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._hand_over_now)

    def _hand_over_now(self) -> None:
        self._handing_over = None
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._next:
            self._jobs.put(self._next)
            self._next = []

    # -- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            jobs = self._wait()
            closing = [job for job in jobs if isinstance(job, _Close)]
            self._work(jobs)
            if closing:
                self._guarded(self._partition.close)
                self._tell([close.done for close in closing])
                return

    def _wait(self) -> list[_Job]:
        """Everything that waits, or nothing when there is work to do meanwhile."""
        jobs: list[_Job] = []
        with contextlib.suppress(queue.Empty):
            idle = self._partition.idle_work
            jobs += self._jobs.get_nowait() if idle == 0.0 else self._jobs.get(timeout=idle)
            while True:
                jobs += self._jobs.get_nowait()
        return jobs

    def _work(self, jobs: list[_Job]) -> None:
        puts = [job for job in jobs if isinstance(job, Put)]
        again = [(job.key, job.entry) for job in jobs if isinstance(job, _Again)]
        ended = [job.key for job in jobs if isinstance(job, _Ended)]
        answers: list[Callable[[], None]] = []
        if puts or again or ended:
            try:
                self._partition.write(puts, again, ended, answers.append)
            except Exception:  # noqa: BLE001 - a fault of ours must not end the thread that others wait for
                _LOG.exception("queue: internal error")
                self._guarded(self._partition.fault)
                answers += [partial(put.done, _FAULT) for put in puts[len(answers) :]]
            self._tell(answers)
        for job in jobs:
            if isinstance(job, _Ask):
                self._answer(job)
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

    def _tell(self, answers: Sequence[Callable[[], None]]) -> None:
        if answers:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to be told
                self._loop.call_soon_threadsafe(_call_all, answers)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # noqa: BLE001 - as in `_work`
            _LOG.exception("queue: internal error")


def _call_all(answers: Sequence[Callable[[], None]]) -> None:
    for answer in answers:
        try:
            answer()
        except Exception:  # noqa: BLE001 - one caller's fault must not keep the others from hearing
            _LOG.exception("queue: a callback failed")
