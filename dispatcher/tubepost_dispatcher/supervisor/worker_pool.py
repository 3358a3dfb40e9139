"""The worker processes: as many as are wanted, replaced when they die, configured and drained together."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tubepost_dispatcher.channel.messages import Configuration, Hold
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.partitions import adopted_by
from tubepost_dispatcher.pod_limits import memory
from tubepost_dispatcher.supervisor.launch import LaunchProcess, launch_in_process, launch_process
from tubepost_dispatcher.supervisor.sockets import ListenerSockets, share_of
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed, WorkerHandle
from tubepost_dispatcher.totals import Totals
from tubepost_runtime.backoff import Exponential
from tubepost_runtime.metrics import begin
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.supervisor")

RESTART = Exponential(0.4, 30.0)
"""Pauses before a worker that fails again and again is replaced; after its first failure there is none."""
STABLE_AFTER = 60.0
"""A worker that lived this long resets its successor's back-off."""
SILENT_AFTER = 15.0
"""Seconds without a word (workers speak every second) after which a worker is hung, and replaced."""
QUIET_AFTER = 5.0
"""Seconds without a word after which a worker no longer counts for readiness."""
DEAD_AFTER = 40.0
"""Seconds without a word from any worker, though there are some, after which the pod is not alive: replacing
them has not helped."""
LOOK_INTERVAL = 2.0
USUAL_ENDS = ("hung", "signal 6", "signal 9", "signal 11", "exit 1")
"""Causes of the end of a worker that are counted from 0 on."""


class Holds:
    """What workers have found out about routes, for those that start later. Pure: the time is passed in."""

    def __init__(self) -> None:
        self._holds: dict[tuple[str, str], tuple[Hold, float]] = {}

    def note(self, hold: Hold, now: float) -> None:
        """Take what a worker has told; `now` is monotonic seconds."""
        self.remaining(now)
        key = (hold.route, hold.credential)
        if hold.reason:
            self._holds[key] = (hold, now + hold.seconds)
        else:
            self._holds.pop(key, None)

    def remaining(self, now: float) -> list[Hold]:
        """The holds whose next probe is not due yet, with the seconds that are left; others are forgotten."""
        self._holds = {key: hold for key, hold in self._holds.items() if hold[1] > now}
        return [replace(hold, seconds=until - now) for hold, until in self._holds.values()]


class WorkerPool:
    """The worker processes of a supervisor.

    Args:
        totals: where the workers' metrics are added up.
        metrics: the supervisor's own, for what happens to workers.
        configuration: what workers are to work by, now.
        grace: seconds that a worker that is no longer wanted has to finish.
        in_process: run workers on this event loop, for a debugger, instead of in processes of their own.
        queue_dir: where the partitions of the queue are, None without one.
        loses_queue: whether the volume of the queue goes with the dispatcher.
        launch: makes the processes.
    """

    def __init__(
        self,
        totals: Totals,
        metrics: Metrics,
        configuration: Callable[[], Configuration],
        grace: float,
        *,
        in_process: bool = False,
        queue_dir: Path | None = None,
        loses_queue: bool = False,
        launch: LaunchProcess = launch_process,
    ) -> None:
        self._launch = launch
        self._totals = totals
        self._metrics = metrics
        self._configuration = configuration
        self._grace = grace
        self._in_process = in_process
        self._queue_dir = queue_dir
        self._loses_queue = loses_queue
        self._workers: dict[int, WorkerHandle] = {}
        self._leaving: set[WorkerHandle] = set()
        self._failures: dict[int, int] = {}
        self._tasks = TaskSet()
        self._ending = False
        self._sockets: tuple[ListenerSockets, ...] = ()
        self._lingering: list[ListenerSockets] = []
        self._hung: set[WorkerHandle] = set()
        """Killed because they were silent, and not gone yet."""
        self._refused: set[int] = set()
        """Workers that refused a configuration and have no successor yet."""
        begin(metrics.worker_exits, USUAL_ENDS)
        self._holds = Holds()
        self._slots: tuple[int, ...] = ()
        """Those that have a partition of the queue."""
        self._limits: int | None = None
        """Descriptor of the memory for the pod's limits; every generation of workers has the same."""
        self.count = 0
        """How many workers are wanted."""
        self.changing = asyncio.Lock()
        """Held while workers are started, configured or sent away."""

    @property
    def any_ready(self) -> bool:
        """Whether at least one worker serves, and has said so lately."""
        now = asyncio.get_running_loop().time()
        return any(
            handle.ready and now - handle.last_heard < QUIET_AFTER for handle in self._workers.values()
        )

    @property
    def alive(self) -> bool:
        """False when there are workers, and none of their event loops has turned for a long time."""
        heard = [handle.last_heard for handle in self._workers.values() if handle.ready]
        return not heard or asyncio.get_running_loop().time() - max(heard) < DEAD_AFTER

    @property
    def obstacle(self) -> str:
        """Why no message can be taken now; empty while at least one worker can."""
        if not self.any_ready:
            return "no worker is ready"
        obstacles = [handle.queue.obstacle for handle in self._workers.values() if handle.ready]
        return "" if "" in obstacles else obstacles[0]

    @property
    def partitions(self) -> dict[int, tuple[int, str]]:
        """Worker, and what is wrong (empty: nothing), by partition of the queue that one has or wants."""
        return {
            slot: (handle.index, problem)
            for handle in (*self._leaving, *self._workers.values())
            for slot, problem in handle.queue.partitions.items()
        }

    def set_partitions(self, slots: tuple[int, ...]) -> None:
        """Which slots have a partition of the queue: those without a worker are emptied by the others."""
        self._slots = slots
        self._share_partitions()

    def _share_partitions(self) -> None:
        for handle in self._workers.values():
            if handle.ready and handle.index < self.count:
                handle.adopt(adopted_by(handle.index, self.count, self._slots))

    async def start(self, sockets: tuple[ListenerSockets, ...], count: int) -> None:
        """Start `count` workers that serve the sockets of these ports.

        Raises:
            WorkerFailed: one did not get ready.
            OSError: there is no memory to share.
        """
        async with self.changing:
            if not self._in_process:
                self._limits = memory.create()
            self._sockets, self.count = sockets, count
            results = await asyncio.gather(
                *(self._start_worker(index) for index in range(count)), return_exceptions=True
            )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if not self._in_process:  # else it is as silent as the supervisor itself
            self._tasks.spawn(self._watch_for_silence())

    async def change(self, sockets: tuple[ListenerSockets, ...], count: int) -> None:
        """Put the configuration in force in all workers, and have `count` of them; `changing` is held.

        Workers that stay keep their sessions. Sockets that `sockets` replaces are served on until `forget`.
        """
        old = (*self._lingering, *self._sockets)
        self._lingering = [one for one in old if one not in sockets]
        before, self.count, self._sockets = self.count, count, sockets
        configuration = self._configuration()
        staying = [h for h in self._workers.values() if h.index < count and h.ready]
        # All at once: one that hangs must not hold up the others.
        await asyncio.gather(*(self._configure(handle, configuration) for handle in staying))
        self._assign_sockets()
        self._share_partitions()
        for index in range(count):
            # Those that are new or have refused; not those that wait for their back-off.
            if index not in self._workers and (index >= before or index in self._refused):
                self._refused.discard(index)
                await self._start_successor(index)
        for index in range(count, before):
            leaving = self._workers.pop(index, None)
            if leaving is not None:
                self._send_away(leaving)
        self._assign_sockets()
        self._share_partitions()

    def forget(self, sockets: ListenerSockets) -> None:
        """Have the workers stop accepting on sockets that were replaced."""
        if sockets in self._lingering:
            self._lingering.remove(sockets)
            self._assign_sockets()

    def _send_away(self, handle: WorkerHandle) -> None:
        self._leaving.add(handle)
        self._tasks.spawn(handle.drain(self._grace, last=False))

    async def _configure(self, handle: WorkerHandle, configuration: Configuration) -> None:
        try:
            problems = await handle.configure(configuration)
        except (WorkerFailed, TimeoutError) as error:
            if not handle.draining:
                _LOG.error(
                    "worker %d did not apply the configuration: %s", handle.index, str(error) or "no answer"
                )
                handle.kill()
            return
        if problems and not self._ending and self._workers.get(handle.index) is handle:
            # The supervisor's check passed, so the worker is at fault: a successor starts, and the worker may
            # finish its transactions.
            _LOG.error("worker %d refused the configuration: %s", handle.index, "; ".join(problems))
            del self._workers[handle.index]
            self._refused.add(handle.index)
            self._send_away(handle)

    async def _start_worker(self, index: int) -> None:
        if self._ending:
            return
        launch = launch_in_process if self._in_process else partial(self._launch, limits=self._limits)
        handle = WorkerHandle(
            index,
            self._totals,
            self._on_exit,
            self._on_hold,
            launch,
            on_queue=self._on_queue,
            patient=self._in_process,
        )
        self._workers[index] = handle
        try:
            sockets = share_of(self._sockets, (index,), self.count)
            await handle.start(sockets, self._configuration(), self._queue_dir)
        except BaseException:
            if not handle.launched:
                # Without a process, `on_exit` is not called.
                self._remove(handle, "not started")
            raise
        _LOG.info("worker %d is ready (pid %d)", index, handle.pid)
        for hold in self._holds.remaining(asyncio.get_running_loop().time()):
            handle.share_hold(hold)
        self._assign_sockets()
        self._share_partitions()

    def _assign_sockets(self) -> None:
        """Have every socket served, also those of a worker that is missing, or that takes no messages now."""
        serving = [h for _, h in sorted(self._workers.items()) if h.ready and h.index < self.count]
        if self._ending or not serving:
            return
        # Where none can take any, clients are to hear why.
        able = [handle for handle in serving if not handle.queue.obstacle] or serving
        indices = [handle.index for handle in able]
        places: dict[int, list[int]] = {handle.index: [] for handle in serving}
        for index in range(self.count):
            places[index if index in indices else indices[index % len(indices)]].append(index)
        ports = (*self._sockets, *self._lingering)
        for handle in serving:
            try:
                handle.assign(share_of(ports, places[handle.index], self.count))
            except OSError as error:
                _LOG.error("worker %d (pid %d) cannot be given sockets: %s", handle.index, handle.pid, error)
                handle.kill()

    def _on_queue(self, handle: WorkerHandle) -> None:
        if self._workers.get(handle.index) is handle and handle.ready:
            self._assign_sockets()

    def _on_hold(self, origin: WorkerHandle, hold: Hold) -> None:
        # What one worker finds out about a credential holds for the pod.
        self._holds.note(hold, asyncio.get_running_loop().time())
        for handle in self._workers.values():
            if handle is not origin:
                handle.share_hold(hold)

    def _on_exit(self, handle: WorkerHandle) -> None:
        self._leaving.discard(handle)
        code = handle.returncode or 0
        cause = f"signal {-code}" if code < 0 else f"exit {code}"
        self._remove(handle, "hung" if handle in self._hung else cause)
        self._hung.discard(handle)

    def _remove(self, handle: WorkerHandle, cause: str) -> None:
        if self._workers.get(handle.index) is handle:
            del self._workers[handle.index]
        if handle.draining or self._ending:
            return
        _LOG.error("worker %d (pid %d) ended: %s", handle.index, handle.pid, cause)
        self._metrics.worker_exits.labels(cause).inc()
        self._assign_sockets()
        if handle.index < self.count:
            lived = asyncio.get_running_loop().time() - handle.started_at if handle.launched else 0.0
            failures = 0 if lived > STABLE_AFTER else self._failures.get(handle.index, 0)
            self._failures[handle.index] = failures + 1
            delay = RESTART.delay(failures) if failures else 0.0
            self._tasks.spawn(self._start_successor_later(handle.index, delay))

    async def _start_successor_later(self, index: int, delay: float) -> None:
        await asyncio.sleep(delay)
        async with self.changing:
            if index not in self._workers and index < self.count:
                await self._start_successor(index)

    async def _start_successor(self, index: int) -> None:
        try:
            await self._start_worker(index)
        except WorkerFailed as error:
            if not self._ending:
                _LOG.error("%s", error)

    async def _watch_for_silence(self) -> None:
        """Replace workers that have fallen silent."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LOOK_INTERVAL)
            # After a pause of the whole container, or a breakpoint, silence says nothing about workers.
            paused = loop.time() - before > 2 * LOOK_INTERVAL
            for handle in list(self._workers.values()):
                if paused:
                    handle.last_heard = loop.time()
                elif handle.ready and loop.time() - handle.last_heard > SILENT_AFTER:
                    silence = loop.time() - handle.last_heard
                    _LOG.error(
                        "worker %d (pid %d) has been silent for %.0f s: killed",
                        handle.index,
                        handle.pid,
                        silence,
                    )
                    self._hung.add(handle)
                    handle.kill()

    def reopen_logs(self) -> None:
        """Have all workers reopen their log files."""
        for handle in self._workers.values():
            handle.reopen_logs()

    @property
    def serving(self) -> list[WorkerHandle]:
        """The workers that are ready, by index."""
        return [handle for _, handle in sorted(self._workers.items()) if handle.ready]

    async def statuses(self) -> list[dict[str, Any]]:
        """Fresh metrics into the totals, and every worker's status."""
        handles = [self._workers[index] for index in sorted(self._workers)] + list(self._leaving)
        statuses = await asyncio.gather(*(handle.status() for handle in handles))
        return [
            status
            or {"worker": handle.index, "pid": handle.pid, "answers": False, "leaving": handle.draining}
            for handle, status in zip(handles, statuses, strict=True)
        ]

    async def leave(self, at_most: float) -> None:
        """Have all workers end their sessions; wait until nobody comes any more, or `at_most` seconds."""
        await asyncio.gather(*(handle.leave(at_most) for handle in self.serving))

    async def drain(self, spent: float = 0.0) -> tuple[int, int]:
        """End all workers in order, `spent` seconds sooner; the numbers of sessions cut, workers killed."""
        self._ending = True
        handles = [*self._workers.values(), *self._leaving]
        results = await asyncio.gather(
            *(handle.drain(self._grace - spent, last=self._loses_queue) for handle in handles)
        )
        return sum(result for result in results if result > 0), sum(1 for result in results if result < 0)

    async def kill(self) -> None:
        """End all workers at once."""
        self._ending = True
        handles = [*self._workers.values(), *self._leaving]
        for handle in handles:
            handle.draining = True  # one that is being started ends as soon as it can
            handle.kill()
        await asyncio.gather(*(handle.gone() for handle in handles))

    async def close(self) -> None:
        """End what runs in the background; the workers have ended before."""
        self._ending = True
        await self._tasks.cancel()
        if self._limits is not None:
            os.close(self._limits)
            self._limits = None
