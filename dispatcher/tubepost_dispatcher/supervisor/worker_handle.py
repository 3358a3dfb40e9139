"""One worker process as the supervisor sees it: start, requests, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tubepost_dispatcher.channel import Channel, Message
from tubepost_dispatcher.totals import Totals

_LOG = logging.getLogger("tubepost.supervisor")

PYTHON = sys.executable

START_TIMEOUT = 60.0
"""Seconds that a worker may take from start to ready."""


LAST_WORDS = 2.0
"""Seconds that the last messages of a worker that has ended may take to arrive."""


class WorkerFailed(Exception):
    """A worker ended, or did not get ready in time."""


class WorkerHandle:
    """One worker process as the supervisor sees it.

    Args:
        index: which of the workers it is, from 0.
        totals: takes the worker's metrics.
        on_exit: called once when the process has ended, with this handle.
        on_hold: called when the worker says that it holds a route, or no longer.
    """

    def __init__(
        self,
        index: int,
        totals: Totals,
        on_exit: Callable[[WorkerHandle], None],
        on_hold: Callable[[WorkerHandle, Message], None] = lambda _handle, _message: None,
    ) -> None:
        self._on_hold = on_hold
        self.index = index
        self.pid = 0
        self.ready = False
        self.draining = False
        self.cut = 0
        self.returncode: int | None = None
        self.last_heard = 0.0
        self.started_at = 0.0
        self._totals = totals
        self._on_exit = on_exit
        self._channel: Channel | None = None
        self._fd_line: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._waiters: dict[str, asyncio.Future[Message]] = {}
        self._requests = 0
        self._exited: asyncio.Task[None] | None = None
        self._launched = asyncio.Event()
        self._channel_closed = asyncio.Event()
        self._assigned: tuple[int, ...] = ()
        """Inodes: descriptors' numbers come again."""
        self._served = False
        self._drained = False
        self._folded = False

    async def start(self, sockets: Sequence[socket.socket], start: Mapping[str, Any]) -> None:
        """Start the process and wait until it serves.

        Args:
            sockets: the listening sockets that it serves.
            start: the `start` message's fields.

        Raises:
            WorkerFailed: it ended first, or took too long.
        """
        started = False
        try:
            await self._launch()
            if self.draining:
                raise WorkerFailed(f"worker {self.index} was told to end while it was being started")
            assert self._channel is not None
            self._channel.send("start", index=self.index, **start)
            self.assign(sockets)
            self._launched.set()
            await self._expect("ready", START_TIMEOUT)
            started = self._served = True
        except TimeoutError:
            raise WorkerFailed(f"worker {self.index} was not ready within {START_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise WorkerFailed(f"worker {self.index} could not be started: {error}") from error
        finally:
            self._launched.set()
            if not started:
                # Also when the start was cancelled: a process that nobody waits for must not serve on.
                self.kill()
        self.ready = not self.draining

    async def _launch(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        # Descriptors travel on a line of their own, since the channel's bytes belong to the event loop.
        self._fd_line, their_fd_line = socket.socketpair()
        # A worker that hangs reads nothing; the supervisor must not hang with it.
        self._fd_line.setblocking(False)
        ours.setblocking(False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                PYTHON,
                "-m",
                "tubepost_dispatcher.worker",
                str(theirs.fileno()),
                str(their_fd_line.fileno()),
                pass_fds=(theirs.fileno(), their_fd_line.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
            )
            self.pid = self._process.pid
            self.last_heard = self.started_at = loop.time()
            self._exited = loop.create_task(self._watch_exit())
            channel = Channel(self._on_message, self._channel_closed.set)
            await loop.create_unix_connection(lambda: channel, sock=ours)
            self._channel = channel
        except BaseException:
            ours.close()
            if self._process is None:
                self._fd_line.close()
            raise
        finally:
            theirs.close()
            their_fd_line.close()

    @property
    def launched(self) -> bool:
        """Whether there is, or was, a process; its end is then told by `on_exit`."""
        return self._process is not None

    def assign(self, sockets: Sequence[socket.socket]) -> None:
        """Have the worker accept on exactly these sockets; sessions that it has are not concerned.

        Raises:
            OSError: the worker does not take them.
        """
        if self._channel is None or self._channel.closed or self._fd_line is None or self.draining:
            return
        wanted = tuple(os.fstat(sock.fileno()).st_ino for sock in sockets)
        if wanted == self._assigned:
            return
        # Sent before the message that announces them, so that the worker never waits for them.
        socket.send_fds(self._fd_line, [b"f"], [sock.fileno() for sock in sockets])
        self._channel.send("sockets", count=len(wanted))
        self._assigned = wanted

    async def _watch_exit(self) -> None:
        assert self._process is not None
        self.returncode = await self._process.wait()
        self.ready = False
        if self._channel is not None:
            # What it said last, its final counts above all, may be on the way still.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._channel_closed.wait()
        self._folded = True
        self._totals.fold(self)
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(
                    WorkerFailed(f"worker {self.index} (pid {self.pid}) ended with {self.returncode}")
                )
        self._waiters.clear()
        if self._channel is not None:
            self._channel.close()
        if self._fd_line is not None:
            self._fd_line.close()
        self._on_exit(self)

    def _on_message(self, message: Message) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        op = message["op"]
        if "metrics" in message and not self._folded:
            self._totals.update(self, message["metrics"])
        if op == "hold":
            self._on_hold(self, message)
        if op == "drained":
            self._drained = True
            self.cut = message["cut"]
        key = f"snapshot-{message['request']}" if op == "snapshot" else op
        if op == "refused":
            key = "applied"
        waiter = self._waiters.pop(key, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(message)

    async def _expect(self, key: str, timeout: float) -> Message:
        if self.returncode is not None:
            raise WorkerFailed(f"worker {self.index} (pid {self.pid}) ended with {self.returncode}")
        waiter: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiters[key] = waiter
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        finally:
            if self._waiters.get(key) is waiter:
                del self._waiters[key]

    async def configure(self, message: Mapping[str, Any], timeout: float = 20.0) -> list[str]:
        """Put a configuration in force in this worker.

        Returns:
            What the worker had against it; empty when it is in force.

        Raises:
            WorkerFailed: the worker ended.
            TimeoutError: it did not answer.
        """
        assert self._channel is not None
        self._channel.send("config", **message)
        answer = await self._expect("applied", timeout)
        return list(answer.get("problems", ()))

    async def snapshot(self, timeout: float = 1.0) -> dict[str, Any] | None:
        """Fresh metrics into the totals; the worker's status, None when it does not answer in time."""
        if self._channel is None or self._channel.closed or not self.ready:
            return None
        self._requests += 1
        self._channel.send("snapshot", request=self._requests)
        try:
            answer = await self._expect(f"snapshot-{self._requests}", timeout)
        except (TimeoutError, WorkerFailed):
            return None
        status = answer["status"]
        return dict(status) if status else None

    def share_hold(self, message: Message) -> None:
        """Tell the worker what another one found out about a route."""
        if self._channel is not None:
            self._channel.send(**message)

    def reopen_logs(self) -> None:
        """Have the worker open its log files anew."""
        if self._channel is not None:
            self._channel.send("reopen")

    async def drain(self, grace: float) -> int:
        """End the worker: transactions finish within `grace` seconds; then it is killed.

        Returns:
            How many sessions were cut, -1 when the worker was killed or died before it could say so.
        """
        self.draining = True
        self.ready = False
        await self._launched.wait()
        if self._exited is None:
            return 0
        if self._channel is not None:
            self._channel.send("drain", grace=grace)
        try:
            async with asyncio.timeout(grace + 5.0):
                await asyncio.shield(self._exited)
        except TimeoutError:
            _LOG.error("worker %d (pid %d) did not end in time: killed", self.index, self.pid)
            self.kill()
            await self._exited
        # One that ended in another way than by its own drain has said nothing of what it cut; one that was
        # never ready had nothing to cut.
        return self.cut if self._drained or not self._served else -1

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def gone(self) -> None:
        """Wait until the process has ended."""
        await self._launched.wait()
        if self._exited is not None:
            await self._exited
