"""The workers: one in every slot, replaced when they die, configured together, drained together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tubepost_dispatcher.channel import Message
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.slot import WorkerFailed, WorkerHandle
from tubepost_dispatcher.supervisor.sockets import ListenerSockets
from tubepost_dispatcher.totals import Totals

_LOG = logging.getLogger("tubepost.supervisor")

RESTART_FIRST = 0.2
RESTART_MOST = 30.0
STABLE_AFTER = 60.0
"""A worker that lived this long starts its successor's back-off anew."""
SILENT_AFTER = 30.0
"""Seconds without a word (workers speak every second) after which a worker counts as hung."""
LOOK_INTERVAL = 5.0


class Roster:
    """The worker processes of a supervisor.

    Args:
        totals: where the workers' metrics are added up.
        metrics: the supervisor's own, for what happens to workers.
        message: the `start` and `config` message's fields, for the configuration in force.
        grace: seconds that a worker that is no longer wanted has to finish.
    """

    def __init__(
        self, totals: Totals, metrics: Metrics, message: Callable[[], Mapping[str, Any]], grace: float
    ) -> None:
        self._totals = totals
        self._metrics = metrics
        self._message = message
        self._grace = grace
        self._workers: dict[int, WorkerHandle] = {}
        self._leaving: set[WorkerHandle] = set()
        self._failures: dict[int, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = False
        self._sockets: ListenerSockets | None = None
        self.count = 0
        """How many workers are wanted."""
        self.changing = asyncio.Lock()
        """Held while slots are filled or emptied."""

    @property
    def any_ready(self) -> bool:
        """Whether at least one worker serves."""
        return any(handle.ready for handle in self._workers.values())

    async def start(self, sockets: ListenerSockets, count: int) -> None:
        """Fill `count` slots.

        Raises:
            WorkerFailed: one did not get ready.
        """
        self._sockets, self.count = sockets, count
        results = await asyncio.gather(*(self._fill(index) for index in range(count)), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._spawn(self._guard())

    async def change(self, sockets: ListenerSockets, count: int, *, reassign: bool) -> None:
        """Put the configuration in force in all workers, and have `count` of them; `changing` is held.

        Workers that stay keep their sessions. With `reassign` the sockets are dealt out anew.
        """
        before, self.count, self._sockets = self.count, count, sockets
        message = self._message()
        for handle in list(self._workers.values()):
            if handle.index >= count or not handle.ready:
                continue
            await self._configure(handle, message)
            if reassign:
                handle.assign(sockets.of_slot(handle.index, count))
        for index in range(before, count):
            try:
                await self._fill(index)
            except WorkerFailed as error:
                _LOG.error("%s", error)
        for index in range(count, before):
            leaving = self._workers.pop(index, None)
            if leaving is not None:
                self._leaving.add(leaving)
                self._spawn(leaving.drain(self._grace))

    async def _configure(self, handle: WorkerHandle, message: Mapping[str, Any]) -> None:
        try:
            problems = await handle.configure(message)
        except (WorkerFailed, TimeoutError) as error:
            problems = [str(error) or "no answer"]
        if problems:
            # The check passed in the supervisor, so the worker is at fault: its successor starts anew.
            _LOG.error("worker %d did not take the configuration: %s", handle.index, "; ".join(problems))
            handle.kill()

    async def _fill(self, index: int) -> None:
        assert self._sockets is not None
        handle = WorkerHandle(index, self._totals, self._on_exit, self._on_hold)
        self._workers[index] = handle
        await handle.start(self._sockets.of_slot(index, self.count), self._message())
        _LOG.info("worker %d is ready (pid %d)", index, handle.pid)

    def _on_hold(self, origin: WorkerHandle, message: Message) -> None:
        # One worker's finding about a credential is the pod's.
        for handle in self._workers.values():
            if handle is not origin:
                handle.share_hold(message)

    def _on_exit(self, handle: WorkerHandle) -> None:
        self._leaving.discard(handle)
        if self._workers.get(handle.index) is handle:
            del self._workers[handle.index]
        if handle.draining or self._ending:
            return
        code = handle.returncode or 0
        cause = f"signal {-code}" if code < 0 else f"exit {code}"
        _LOG.error("worker %d (pid %d) ended: %s", handle.index, handle.pid, cause)
        self._metrics.worker_exits.labels(cause).inc()
        if handle.index < self.count:
            lived = asyncio.get_running_loop().time() - handle.started_at
            failures = 0 if lived > STABLE_AFTER else self._failures.get(handle.index, 0)
            self._failures[handle.index] = failures + 1
            delay = min(RESTART_MOST, RESTART_FIRST * 2**failures) if failures else 0.0
            self._spawn(self._refill(handle.index, delay))

    async def _refill(self, index: int, delay: float) -> None:
        await asyncio.sleep(delay)
        async with self.changing:
            if self._ending or index in self._workers or index >= self.count:
                return
            try:
                await self._fill(index)
            except WorkerFailed as error:
                _LOG.error("%s", error)

    async def _guard(self) -> None:
        """Replace workers that have fallen silent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            for handle in list(self._workers.values()):
                if handle.ready and loop.time() - handle.last_heard > SILENT_AFTER:
                    _LOG.error("worker %d (pid %d) does not answer: killed", handle.index, handle.pid)
                    handle.kill()

    def reopen_logs(self) -> None:
        """Have all workers open their log files anew."""
        for handle in self._workers.values():
            handle.reopen_logs()

    async def snapshots(self) -> list[dict[str, Any]]:
        """Fresh metrics into the totals, and every worker's status."""
        handles = [self._workers[index] for index in sorted(self._workers)] + list(self._leaving)
        statuses = await asyncio.gather(*(handle.snapshot() for handle in handles))
        return [
            status or {"worker": handle.index, "pid": handle.pid, "answers": False}
            for handle, status in zip(handles, statuses, strict=True)
        ]

    async def drain(self) -> tuple[int, int]:
        """End all workers in order; the numbers of sessions cut and of workers killed."""
        self._ending = True
        handles = [*self._workers.values(), *self._leaving]
        results = await asyncio.gather(*(handle.drain(self._grace) for handle in handles))
        return sum(result for result in results if result > 0), sum(1 for result in results if result < 0)

    async def kill(self) -> None:
        """End all workers at once."""
        self._ending = True
        handles = [*self._workers.values(), *self._leaving]
        for handle in handles:
            handle.kill()
        for handle in handles:
            await handle.gone()

    async def close(self) -> None:
        """End what runs in the background; the workers have ended before."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
