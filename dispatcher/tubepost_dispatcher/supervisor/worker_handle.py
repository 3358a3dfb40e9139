"""One worker as the supervisor sees it: start, requests, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tubepost_dispatcher.channel.channel import Channel
from tubepost_dispatcher.channel.codec import Malformed
from tubepost_dispatcher.channel.messages import (
    Adopt,
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
from tubepost_dispatcher.queue_step import Step, StepResult
from tubepost_dispatcher.supervisor.launch import Launch, Launched, launch_process
from tubepost_dispatcher.supervisor.sockets import Share
from tubepost_dispatcher.totals import Totals

_LOG = logging.getLogger("tubepost.supervisor")

A = TypeVar("A")

START_TIMEOUT = 60.0
"""Seconds that a worker may take from start to ready."""

CONFIGURE_TIMEOUT = 20.0
"""Seconds that a worker may take to put a configuration in force."""

STATUS_TIMEOUT = 1.0
"""Seconds for which metrics and status wait for a worker."""

LAST_WORDS = 2.0
"""Seconds to wait for the last messages of a worker that has ended."""


class WorkerFailed(Exception):
    """A worker ended, or did not get ready in time."""


class WorkerHandle:
    """One worker as the supervisor sees it.

    Args:
        index: which of the workers it is, from 0.
        totals: takes the worker's metrics.
        on_exit: called once when the worker has ended, with this handle.
        on_hold: called when the worker says that it holds a route, or no longer.
        on_queue: called when its queue is not as it was, with this handle.
        launch: starts it.
        patient: wait for it however long it takes: it may stand at a breakpoint.
    """

    def __init__(
        self,
        index: int,
        totals: Totals,
        on_exit: Callable[[WorkerHandle], None],
        on_hold: Callable[[WorkerHandle, Hold], None] = lambda _handle, _hold: None,
        launch: Launch = launch_process,
        *,
        on_queue: Callable[[WorkerHandle], None] = lambda _handle: None,
        patient: bool = False,
    ) -> None:
        self._on_hold = on_hold
        self._on_queue = on_queue
        self.queue = QueueState({}, "")
        """As the worker last told it."""
        self._adopted: tuple[int, ...] = ()
        self.index = index
        self.ready = False
        self.draining = False
        self.cut = 0
        self.returncode: int | None = None
        self.last_heard = 0.0
        self.started_at = 0.0
        self._totals = totals
        self._on_exit = on_exit
        self._launcher = launch
        self._patient = patient
        self._channel: Channel | None = None
        self._descriptors: socket.socket | None = None
        self._running: Launched | None = None
        self._exited: asyncio.Task[None] | None = None
        self._launched = asyncio.Event()
        self._channel_closed = asyncio.Event()
        self._assigned: tuple[int, ...] = ()
        """Inodes: descriptors' numbers come again."""
        self._served = False
        self._drained = False
        self._folded = False

    @property
    def pid(self) -> int:
        """The process that the worker is in, 0 before there is one."""
        return self._running.pid if self._running is not None else 0

    async def start(
        self,
        sockets: Share,
        configuration: Configuration,
        queue_dir: Path | None = None,
    ) -> None:
        """Start the worker and wait until it serves.

        Args:
            sockets: the listening sockets that it serves.
            configuration: what it works by.
            queue_dir: where the partitions of the queue are, None without one.

        Raises:
            WorkerFailed: it ended first, or took too long.
        """
        started = False
        try:
            await self._launch()
            if self.draining:
                raise WorkerFailed(f"worker {self.index} was told to end while it was being started")
            count = self._send_descriptors(sockets)
            self._launched.set()
            start = Start(self.index, count, configuration, queue_dir, len(sockets.rest))
            await self._request(start, Ready, START_TIMEOUT)
            started = self._served = True
        except TimeoutError:
            raise WorkerFailed(f"worker {self.index} was not ready within {START_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise WorkerFailed(f"worker {self.index} could not be started: {error}") from error
        finally:
            self._launched.set()
            if not started:
                # Also when the start was cancelled: a worker that nobody knows must not go on.
                self.kill()
        self.ready = not self.draining

    async def _launch(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        # Descriptors travel on a line of their own, since the channel's bytes belong to the event loop.
        self._descriptors, their_descriptors = socket.socketpair()
        # A worker that hangs reads nothing; the supervisor must not hang with it.
        self._descriptors.setblocking(False)
        ours.setblocking(False)
        try:
            self._running = await self._launcher(theirs, their_descriptors)
            self.last_heard = self.started_at = loop.time()
            self._exited = loop.create_task(self._watch_exit(self._running))
            channel = Channel(self._on_message, self._channel_closed.set)
            await loop.create_unix_connection(lambda: channel, sock=ours)
            self._channel = channel
        except BaseException:
            ours.close()
            if self._running is None:
                self._descriptors.close()
            raise
        finally:
            theirs.close()
            their_descriptors.close()

    @property
    def launched(self) -> bool:
        """Whether it runs, or has run; its end is then told by `on_exit`."""
        return self._running is not None

    def assign(self, sockets: Share) -> None:
        """Have the worker accept on exactly these sockets; sessions that it has are not concerned.

        Raises:
            OSError: the worker does not take them.
        """
        if self._channel is None or self._channel.closed or self._descriptors is None or self.draining:
            return
        if _inodes(sockets) != self._assigned:
            self._channel.send(Sockets(self._send_descriptors(sockets), len(sockets.rest)))

    def _send_descriptors(self, sockets: Share) -> int:
        # Sent before the message that announces them, so that the worker never waits for them.
        assert self._descriptors is not None
        found = sockets.all
        socket.send_fds(self._descriptors, [b"f"], [sock.fileno() for sock in found])
        self._assigned = _inodes(sockets)
        return len(found)

    async def _watch_exit(self, running: Launched) -> None:
        self.returncode = await running.wait()
        self.ready = False
        if self._channel is not None:
            # Its last messages, with the final counts, may still be on the way.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._channel_closed.wait()
        self._folded = True
        self._totals.fold(self)
        if self._channel is not None:
            self._channel.fail(self._ended())
            self._channel.close()
        if self._descriptors is not None:
            self._descriptors.close()
        self._on_exit(self)

    def _ended(self) -> WorkerFailed:
        return WorkerFailed(f"worker {self.index} (pid {self.pid}) ended with {self.returncode}")

    def _on_message(self, message: Message, request: int) -> None:
        del request  # workers ask nothing
        self.last_heard = asyncio.get_running_loop().time()
        match message:
            case Counted() | Status() | Drained() if not self._folded:
                self._totals.update(self, message.metrics)
            case Hold():
                self._on_hold(self, message)
            case QueueState():
                self.queue = message
                self._on_queue(self)
            case _:
                pass
        if isinstance(message, Drained):
            self._drained = True
            self.cut = message.cut

    async def _request(self, message: Message, answer: type[A], timeout: float) -> A:
        if self._channel is None:
            raise WorkerFailed(f"worker {self.index} has not been started")
        if self.returncode is not None:
            raise self._ended()
        try:
            return await self._channel.request(message, answer, None if self._patient else timeout)
        except Malformed as error:
            raise WorkerFailed(f"worker {self.index} (pid {self.pid}): {error}") from error

    async def configure(self, configuration: Configuration) -> tuple[str, ...]:
        """Put a configuration in force in this worker.

        Returns:
            What the worker had against it; empty when it is in force.

        Raises:
            WorkerFailed: the worker ended.
            TimeoutError: it did not answer.
        """
        return (await self._request(Configure(configuration), Configured, CONFIGURE_TIMEOUT)).problems

    async def status(self, timeout: float = STATUS_TIMEOUT) -> dict[str, Any] | None:
        """Fresh metrics into the totals; the worker's status, None when it does not answer in time."""
        if self._channel is None or self._channel.closed or not self.ready:
            return None
        try:
            return (await self._request(GetStatus(), Status, timeout)).status or None
        except (TimeoutError, WorkerFailed):
            return None

    async def operate(self, step: Step, timeout: float) -> StepResult:
        """Have the worker do one step of a request about the queue.

        Raises:
            WorkerFailed: the worker ended.
            TimeoutError: it did not answer.
        """
        return (await self._request(Operate(step), Operated, timeout)).result

    def share_hold(self, hold: Hold) -> None:
        """Tell the worker what another one found out about a route."""
        if self._channel is not None:
            self._channel.send(hold)

    def adopt(self, slots: tuple[int, ...]) -> None:
        """Have the worker empty the partitions of exactly these slots, beside its own."""
        if self._channel is not None and slots != self._adopted and not self.draining:
            self._adopted = slots
            self._channel.send(Adopt(slots))

    def reopen_logs(self) -> None:
        """Have the worker reopen its log files."""
        if self._channel is not None:
            self._channel.send(ReopenLogs())

    async def leave(self, at_most: float) -> None:
        """Have the worker end its sessions; wait until nobody comes any more, at most `at_most` seconds."""
        with contextlib.suppress(TimeoutError, WorkerFailed):
            await self._request(Leave(at_most), Left, at_most + LAST_WORDS)

    async def drain(self, grace: float, *, last: bool = True) -> int:
        """End the worker: transactions finish within `grace` seconds; then it is killed.

        Args:
            grace: seconds.
            last: the volume of the queue goes with the dispatcher; else what is in it has a successor.

        Returns:
            How many sessions were cut, -1 when the worker was killed or died before it could say so.
        """
        self.draining = True
        self.ready = False
        await self._launched.wait()
        if self._exited is None:
            return 0
        if self._channel is not None:
            self._channel.send(Drain(grace, last))
        try:
            async with asyncio.timeout(None if self._patient else grace + 5.0):
                await asyncio.shield(self._exited)
        except TimeoutError:
            _LOG.error("worker %d (pid %d) did not end in time: killed", self.index, self.pid)
            self.kill()
            await self._exited
        # A worker that did not end by its drain has not reported what it cut; one that was never ready had
        # nothing to cut.
        return self.cut if self._drained or not self._served else -1

    def kill(self) -> None:
        """End the worker at once."""
        if self._running is not None:
            self._running.kill()

    async def gone(self) -> None:
        """Wait until the worker has ended."""
        await self._launched.wait()
        if self._exited is not None:
            await self._exited


def _inodes(sockets: Share) -> tuple[int, ...]:
    return tuple(os.fstat(sock.fileno()).st_ino for sock in sockets.all)
