"""Workers that are forked from a zygote; started as programs when there is none any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket

from tubepost_dispatcher.supervisor.launch import Launched, launch_process
from tubepost_runtime.tasks import TaskSet
from tubepost_runtime.threads import in_thread

PATIENCE = 10.0
"""Seconds that a zygote has for an answer, which it usually gives within 10 ms."""

STRAY_AFTER = 10.0
"""Seconds after which a child that has ended, and that nobody has asked about, is a stray."""

_LOG = logging.getLogger("tubepost.supervisor")


class ZygoteLost(Exception):
    """The zygote has ended or does not answer; it has been said."""


class ForkedWorkers:
    """Has workers forked by a zygote. One that is lost is done without: workers are then started as programs.

    Made on the event loop that it is used on.

    Args:
        pid: the zygote, a child of this process.
        line: the supervisor's end; see `worker.zygote.Zygote`. Owned by this object from now on.
    """

    def __init__(self, pid: int, line: socket.socket) -> None:
        self._children: set[int] = set()
        self._zygote = self._child(pid)
        self._line: socket.socket | None = line
        line.setblocking(False)
        self._turn = asyncio.Lock()
        self._asking: set[asyncio.Task[_Child]] = set()
        self._tasks = TaskSet()
        self._tasks.spawn(self._reap_strays())

    async def launch(
        self, channel: socket.socket, descriptors: socket.socket, limits: int | None = None
    ) -> Launched:
        """Start a worker; as `launch_process`.

        Raises:
            OSError: it cannot be started.
        """
        # Copies: who gives the start up closes his while the request is still on its way.
        fds = [os.dup(channel.fileno()), os.dup(descriptors.fileno())]
        if limits is not None:
            fds.append(os.dup(limits))
        asking = asyncio.get_running_loop().create_task(self._ask(fds))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(_kill)
            raise
        except ZygoteLost:
            return await launch_process(channel, descriptors, limits)

    async def _ask(self, fds: list[int]) -> _Child:
        try:
            async with self._turn:
                answer = await self._answer(fds)
        finally:
            for fd in fds:
                os.close(fd)
        if answer < 0:
            raise OSError(-answer, os.strerror(-answer))
        return self._child(answer)

    async def _answer(self, fds: list[int]) -> int:
        if self._line is None:
            raise ZygoteLost
        answer = b""
        try:
            socket.send_fds(self._line, [b"f"], fds)
            async with asyncio.timeout(PATIENCE):
                answer = await asyncio.get_running_loop().sock_recv(self._line, 32)
            problem = "" if answer else "has ended"
        except TimeoutError:
            problem = "does not answer"
        except OSError as error:
            problem = f"has ended: {error}"
        if problem:
            _LOG.warning(
                "the zygote (pid %d) %s: workers are started as programs from now on, and take more memory",
                self._zygote.pid,
                problem,
            )
            self._forget()
            raise ZygoteLost
        return int(answer)

    async def _reap_strays(self) -> None:
        """Take note of the end of orphans that this process takes in: hooks of a worker that was killed.

        Other children are not touched: whoever started them waits for them, and so they do not stay.
        """
        seen = 0
        while True:
            await asyncio.sleep(STRAY_AFTER)
            found = _ended_child()
            if found and found == seen and found not in self._children:
                _reap(found)
            seen = found

    def _child(self, pid: int) -> _Child:
        self._children.add(pid)
        child = _Child(pid)
        child.ended.add_done_callback(lambda _: self._children.discard(pid))
        return child

    def _forget(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        self._zygote.kill()

    async def close(self) -> None:
        """End the zygote; workers go on."""
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._tasks.cancel()
        self._forget()
        await self._zygote.wait()


class _Child:
    """A child of this process that nothing else waits for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self.ended = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> int:
        # Reaped by the event loop, not by the thread: until it knows of the end, the number means no other
        # process.
        self._code = await in_thread(lambda: _code_of(self.pid), "wait")
        _reap(self.pid)
        return self._code

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    def kill(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _code_of(pid: int) -> int:
    """Wait for the end of a child, which stays a zombie; its exit code, negative for a signal."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _ended_child() -> int:
    """A child that has ended and has not been reaped; 0 without one."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found is not None else 0


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def _kill(asking: asyncio.Task[_Child]) -> None:
    if not asking.cancelled() and asking.exception() is None:
        asking.result().kill()
