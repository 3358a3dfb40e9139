"""Where a worker runs: in a process of its own, or, to be debugged, in the supervisor's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

PYTHON = sys.executable

_LOG = logging.getLogger("tubepost.supervisor")


class Launched(Protocol):
    """A worker that runs, or has run."""

    @property
    def pid(self) -> int:
        """The process it is in."""

    async def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""

    def kill(self) -> None:
        """End it at once."""


Launch = Callable[[socket.socket, socket.socket], Awaitable[Launched]]
"""Starts a worker on its ends of the channel and of the line on which listening sockets come.

Raises OSError when it cannot be started.
"""


class LaunchProcess(Protocol):
    """Starts a worker in a process of its own."""

    async def __call__(
        self, channel: socket.socket, descriptors: socket.socket, limits: int | None = None
    ) -> Launched:
        """As `launch_process`."""


async def launch_process(
    channel: socket.socket, descriptors: socket.socket, limits: int | None = None
) -> Launched:
    """Start a worker in a process of its own.

    `limits`: descriptor of the memory that the workers of the pod share for its limits.
    """
    fds = (channel.fileno(), descriptors.fileno(), *(() if limits is None else (limits,)))
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        "-m",
        "tubepost_dispatcher.worker",
        *map(str, fds),
        pass_fds=fds,
        stdin=asyncio.subprocess.DEVNULL,
    )
    return _Process(process)


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def wait(self) -> int:
        return await self._process.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)


async def launch_in_process(channel: socket.socket, descriptors: socket.socket) -> Launched:
    """Start a worker on the running event loop, where a debugger finds it."""
    from tubepost_dispatcher.worker.process import WorkerProcess  # noqa: PLC0415 - the whole pipeline

    main = WorkerProcess().main(channel.detach(), descriptors.detach())
    return _Task(asyncio.get_running_loop().create_task(main))


class _Task:
    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task
        self.pid = os.getpid()

    async def wait(self) -> int:
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return -signal.SIGKILL
        error = self._task.exception()
        if error is not None:
            _LOG.error("the worker failed", exc_info=error)
        return 0 if error is None else 1

    def kill(self) -> None:
        self._task.cancel()
