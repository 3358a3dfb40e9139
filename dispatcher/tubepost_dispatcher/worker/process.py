"""A worker's side of the channel: runs the pipeline as the supervisor's messages say.

A worker whose supervisor has gone drains and ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterable, Mapping

from tubepost_dispatcher.channel.channel import Channel
from tubepost_dispatcher.channel.messages import (
    Adopt,
    Alive,
    Configuration,
    Configure,
    Configured,
    Counted,
    Drain,
    Drained,
    GetStatus,
    Hold,
    Leave,
    Left,
    Message,
    Operate,
    Operated,
    QueueState,
    Ready,
    ReopenLogs,
    Sockets,
    Start,
    Status,
)
from tubepost_dispatcher.config.bundle import prepare
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.interface import PodLimits
from tubepost_dispatcher.queue_step import StepResult
from tubepost_dispatcher.totals import Samples, take_samples
from tubepost_dispatcher.worker import memory
from tubepost_dispatcher.worker.worker import Worker
from tubepost_runtime import process_log
from tubepost_runtime.tasks import TaskSet
from tubepost_runtime.threads import in_thread

_LOG = logging.getLogger("tubepost.worker")

REPORT_INTERVAL = 1.0
"""Seconds between what a worker says unasked."""
ORPHAN_GRACE = 20.0
"""Seconds that a worker without a supervisor gives to its transactions."""
LAST_WORDS = 2.0
"""Seconds that the last message to the supervisor may take."""
OPEN_PATIENCE = 10.0
"""Seconds that a worker waits for the partition that its predecessor still has, before it serves without."""
STEP_PATIENCE = 30.0
"""Seconds that a step of a request about the queue may take."""
MAX_OPEN_MESSAGES = 20_000
"""Messages between DATA and reply beyond which new sessions are refused."""


class WorkerProcess:
    """Runs a `Worker` as the supervisor's messages say.

    Args:
        limits: those of the pod; without them this is taken for its only worker.
    """

    def __init__(self, limits: PodLimits | None = None) -> None:
        self._limits = limits
        self._metrics = Metrics()
        self._worker: Worker | None = None
        self._channel = Channel(self._on_message, self._on_orphaned)
        self._ended = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._told: Samples = {}
        self._told_queue_state: tuple[Mapping[int, str], str] = ({}, "")
        self._memory_limit = 0
        self._descriptors: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._start_request = 0
        """The request that is answered by Ready; 0 once it is."""
        self._closed = asyncio.Event()
        self._operating = TaskSet()
        self._configuring: asyncio.Task[None] | None = None
        """The last configuration's way into force."""

    async def main(self, channel: int, descriptors: int) -> None:
        """Serve until told to end, or until the supervisor has gone.

        Args:
            channel: file descriptor of the channel; owned by this object from now on.
            descriptors: that of the line on which listening sockets come; likewise.
        """
        self._descriptors = socket.socket(fileno=descriptors)
        line = socket.socket(fileno=channel)
        line.setblocking(False)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: self._channel, sock=line)
            self._tick()
            await self._ended.wait()
        except asyncio.CancelledError:
            await self._abandon()
            raise
        finally:
            self._descriptors.close()

    async def _abandon(self) -> None:
        """Cut everything; for a worker in the supervisor's process, since one of its own is simply killed."""
        self._ended.set()
        for task in (self._serving, self._draining):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        await self._operating.cancel()
        if self._worker is not None:
            await self._worker.drain(0.0)
        self._channel.close()

    def _on_message(self, message: Message, request: int) -> None:
        match message:
            case Start():
                self._start(message, request)
            case Sockets():
                self._take_sockets(message.count, message.rest)
            case Configure():
                self._configuring = self._operating.spawn(
                    self._configure(message, request, self._configuring)
                )
            case Adopt() if self._worker is not None:
                self._worker.adopt(message.slots)
            case GetStatus():
                status = self._worker.status() if self._worker is not None else None
                self._channel.send(Status(take_samples(self._metrics.registry), status), reply_to=request)
            case Hold() if self._worker is not None:
                self._adopt(self._worker, message)
            case Operate():
                self._operating.spawn(self._operate(message, request))
            case ReopenLogs() if self._worker is not None:
                self._worker.reopen_logs()
            case Leave() if self._worker is not None:
                self._operating.spawn(self._leave(self._worker, message.at_most, request))
            case Drain():
                self._drain_once(message.grace, last=message.last)
            case _:
                _LOG.error("%s is not expected now", type(message).__name__)

    async def _leave(self, worker: Worker, at_most: float, request: int) -> None:
        await worker.leave(at_most)
        self._channel.send(Left(), reply_to=request)

    def _adopt(self, worker: Worker, hold: Hold) -> None:
        def adopt(_: object = None) -> None:
            worker.adopt_hold(hold.route, hold.credential, hold.reason, hold.detail, hold.seconds)

        adopt()
        if self._configuring is not None and not self._configuring.done():
            # It may be of a credential that is about to come into force.
            self._configuring.add_done_callback(adopt)

    async def _operate(self, message: Operate, request: int) -> None:
        result = StepResult(problem="the worker is starting")
        try:
            if self._worker is not None:
                async with asyncio.timeout(STEP_PATIENCE):
                    result = await self._worker.operate(message.step)
        except TimeoutError:
            # The supervisor has given up long ago; nothing is to pile up here while a disk hangs.
            result = StepResult(problem="the disk does not answer")
        except Exception:  # noqa: BLE001 - the supervisor must get an answer
            _LOG.exception("a step of a request about the queue failed")
            result = StepResult(problem="internal error, see the worker's log")
        self._channel.send(Operated(result), reply_to=request)

    def _start(self, message: Start, request: int) -> None:
        configuration = message.configuration
        process_log.setup(configuration.config.log_level, configuration.log_format)
        process_log.on_lost(self._metrics.process_log_lines_lost.inc)
        self._memory_limit = configuration.memory_limit
        self._start_request = request
        prepared, _ = prepare(configuration.bundle, time.time())
        self._worker = Worker(
            prepared,
            self._metrics,
            self._limits,
            index=message.index,
            count=configuration.workers,
            queue_dir=message.queue_dir,
        )
        self._worker.set_retiring(configuration.retiring, configuration.retire_after)
        self._take_sockets(message.sockets, message.rest)

    def _take_sockets(self, count: int, rest: int) -> None:
        assert self._descriptors is not None
        _, fds, _, _ = socket.recv_fds(self._descriptors, 1, count + 1)
        sockets = [socket.socket(fileno=fd) for fd in fds]
        if self._draining is not None:
            _close(sockets)
            return
        previous = self._serving
        self._serving = asyncio.get_running_loop().create_task(self._serve(sockets, rest, previous))

    async def _serve(
        self, sockets: list[socket.socket], rest: int, previous: asyncio.Task[None] | None
    ) -> None:
        assert self._worker is not None
        try:
            if previous is not None:
                await previous
            elif self._start_request:
                # Until then other workers accept on these sockets.
                await self._worker.prepared_to_accept(OPEN_PATIENCE)
            if self._draining is not None:
                return
            smtp = len(sockets) - rest
            await self._worker.serve(sockets[:smtp], sockets[smtp:])
        except OSError:
            # Nobody would accept the connections in the backlog: make room for a successor.
            _LOG.exception("the listening sockets cannot be served: draining")
            self._drain_once(ORPHAN_GRACE)
            return
        finally:
            _close(sockets)  # the listener has duplicates
        if self._start_request:
            self._tell_queue_state(self._worker)
            self._channel.send(Ready(), reply_to=self._start_request)
            self._start_request = 0

    async def _configure(self, message: Configure, request: int, before: asyncio.Task[None] | None) -> None:
        """Put a configuration in force, after the one `before`; messages are served meanwhile."""
        if before is not None:
            await asyncio.wait({before})
        try:
            problems = await self._put_in_force(message.configuration)
        except Exception as error:  # noqa: BLE001 - the supervisor must get an answer
            _LOG.exception("the configuration could not be applied")
            problems = (repr(error),)
        self._channel.send(Configured(problems), reply_to=request)

    async def _put_in_force(self, configuration: Configuration) -> tuple[str, ...]:
        """Returns why it is not."""
        assert self._worker is not None
        if self._draining is not None:
            return ("it is ending",)
        # Reading Secrets takes milliseconds for each of them, longer with thousands of domains.
        prepared, problems = await in_thread(
            lambda: prepare(configuration.bundle, time.time()), "configuration"
        )
        # The supervisor has checked it already: a difference is a fault of ours, and is reported.
        if problems and not configuration.lenient:
            return tuple(str(problem) for problem in problems)
        await self._worker.apply(prepared, configuration.workers)
        process_log.set_level(configuration.config.log_level)
        self._memory_limit = configuration.memory_limit
        self._worker.set_retiring(configuration.retiring, configuration.retire_after)
        return ()

    def _tell_queue_state(self, worker: Worker) -> None:
        state = worker.queue_state()
        if state != self._told_queue_state:
            self._told_queue_state = state
            self._channel.send(QueueState(*state))

    def _drain_once(self, grace: float, *, last: bool = False) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain(grace, last=last))

    async def _drain(self, grace: float, *, last: bool) -> None:
        cut = 0
        try:
            if self._configuring is not None:
                # Nothing is put in force any more that would have to be closed.
                self._configuring.cancel()
                await asyncio.wait({self._configuring})
            if self._serving is not None:
                await asyncio.wait({self._serving}, timeout=1.0)
            if self._worker is not None:
                cut = await self._worker.drain(grace, last=last)
        finally:
            self._channel.send(Drained(cut, take_samples(self._metrics.registry)))
            self._channel.close()
            # The last counts must be on their way before the process ends.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._closed.wait()
            self._ended.set()

    def _on_orphaned(self) -> None:
        self._closed.set()
        if self._draining is None and not self._ended.is_set():
            _LOG.warning("the supervisor has gone: draining")
            self._drain_once(ORPHAN_GRACE)

    def _tick(self) -> None:
        """Once a second: report to the supervisor, and check memory and open messages against limits."""
        if self._ended.is_set():
            return
        asyncio.get_running_loop().call_later(REPORT_INTERVAL, self._tick)
        worker = self._worker
        if worker is None:
            return
        for hold in worker.changed_holds():
            self._channel.send(Hold(*hold))
        self._tell_queue_state(worker)
        samples = take_samples(self._metrics.registry)
        if samples != self._told:
            self._told = samples
            self._channel.send(Counted(samples))
        else:
            self._channel.send(Alive())
        worker.set_overloaded(memory.exceeds(self._memory_limit) or worker.open_messages > MAX_OPEN_MESSAGES)


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
