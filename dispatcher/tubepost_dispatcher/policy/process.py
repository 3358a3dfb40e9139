"""One policy process, as the worker sees it: started, asked one call at a time, and ended whatever it does.

Lives on one event loop; every method is called on it, and none waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

import orjson

from tubepost_api.config import PolicyConfig
from tubepost_dispatcher.policy.output import Lines, crashed_at, loggable
from tubepost_dispatcher.policy.settings import ABORT_GRACE, START_LIMIT, command, environment
from tubepost_dispatcher.policy.wire import LENGTH, MAX_FRAME, frame

_LOG = logging.getLogger("tubepost.policy")

MAX_OUTPUT: Final = 64 * 1024
"""Bytes of output that are read in a row; then reading pauses, and what does not fit the pipe is dropped."""
OUTPUT_PAUSE: Final = 1.0
"""Seconds of that pause."""
EXIT_PATIENCE: Final = 5.0
"""Seconds after SIGKILL after which a process that has not ended is taken for ended."""


class Fault:
    """Why a call has no answer, or why a process cannot serve."""

    __slots__ = ("hook", "kind", "line", "text")

    def __init__(self, kind: str, text: str, line: int = 0, hook: str = "") -> None:
        self.kind = kind
        """A label of metrics."""
        self.text = text
        self.line = line
        """Of the module; 0 where it is not known."""
        self.hook = hook
        """Name of the function; empty where it is not known."""

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else ""
        where = ", ".join(filter(None, (self.hook, where)))
        return f"{where}: {self.text}" if where else self.text


KINDS: Final = frozenset({"exception", "memory", "exit", "result", "module", "timeout", "died", "busy"})
"""Kinds of faults that there are."""


class Keeper(Protocol):
    """Who started a process. Nothing of this is called from inside the process's methods."""

    def process_ready(self, process: PolicyProcess, hooks: frozenset[str], warnings: Sequence[str]) -> None:
        """Its module is loaded: it takes calls."""

    def process_answered(self, process: PolicyProcess, answer: dict[str, Any] | Fault) -> None:
        """The call in execution is answered; it takes another one."""

    def process_ended(self, process: PolicyProcess, fault: Fault, *, calling: bool) -> None:
        """It is no more. `calling`: the call in execution ended with it, and this is its fault."""


class PolicyProcess:
    """Starts at once; the keeper is told what becomes of it.

    Args:
        settings: the module, and its limits.
        keeper: told.
        loop: schedules.
        spawn: keeps the task that starts it.
    """

    def __init__(
        self,
        settings: PolicyConfig,
        keeper: Keeper,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Any], object],
    ) -> None:
        self.settings = settings
        self._keeper = keeper
        self._loop = loop
        self._transport: asyncio.SubprocessTransport | None = None
        self._calls: asyncio.Transport | None = None
        self._crash = -1
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._why: Fault | None = None
        """Why it is being ended."""
        self._exited = False
        self._taken = 0
        self._lines = Lines()
        self.ready = False
        """Its module is loaded."""
        self.calling = False
        """It has a call in execution."""
        self.retired = False
        """It is to end once it has no call in execution."""
        self.answered = False
        """It has answered a call: it was of use."""
        self._limit(START_LIMIT)
        spawn(self._start())

    @property
    def pid(self) -> int:
        """Its number; 0 before it is started, and after its end."""
        return self._transport.get_pid() if self._transport is not None and not self._exited else 0

    @property
    def free(self) -> bool:
        """Whether it takes a call now."""
        return self.ready and not self.calling and self._why is None and not self.retired

    def call(self, content: bytes) -> None:
        """Have it execute one call; only while it is free."""
        assert self._calls is not None
        self.calling = True
        self._limit(self.settings.timeout)
        self._calls.write(frame(content))

    def retire(self) -> None:
        """Let it end once it has no call in execution."""
        self.retired = True
        if not self.calling:
            self._hang_up()

    def kill(self, fault: Fault) -> None:
        """End it now, and whatever it has started."""
        if self._why is not None:
            return
        self._why = fault
        # It tells where it is, unless it keeps even that from happening.
        self._signal(signal.SIGABRT)
        self._limit(ABORT_GRACE, self._kill_for_good)

    # -- start ----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        crash, theirs_crash = os.pipe()
        try:
            ours.setblocking(False)
            os.set_blocking(crash, False)
            self._crash = crash
            self._transport, _ = await self._loop.subprocess_exec(
                lambda: _Watch(self),
                *command(theirs.fileno(), theirs_crash, self.settings.memory),
                pass_fds=(theirs.fileno(), theirs_crash),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment(),
                cwd="/",
                start_new_session=True,
            )
            await self._loop.create_unix_connection(lambda: _Calls(self), sock=ours)
        except OSError as error:
            ours.close()
            self._ended(Fault("died", f"it cannot be started: {error.strerror}"))
            return
        finally:
            theirs.close()
            os.close(theirs_crash)
        if self._why is not None or self.retired:
            self._kill_for_good()

    def connected(self, calls: asyncio.Transport) -> None:
        """The socket is there: hand over the module."""
        self._calls = calls
        calls.write(frame(self.settings.source.encode("utf-8")))

    # -- what comes -----------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take a part of an answer."""
        buffer = self._buffer
        buffer += data
        if len(buffer) < LENGTH:
            return
        size = int.from_bytes(buffer[:LENGTH], "big")
        if size > MAX_FRAME or len(buffer) > size + LENGTH:
            self.kill(Fault("result", "its answer is not one"))
            return
        if len(buffer) < size + LENGTH:
            return
        content = bytes(buffer[LENGTH:])
        buffer.clear()
        try:
            answer = orjson.loads(content)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or not (self.calling or not self.ready):
            self.kill(Fault("result", "its answer is not one"))
            return
        self._answered(answer)

    def _answered(self, answer: dict[str, Any]) -> None:
        if self._why is not None:
            return  # too late
        self._limit(0.0)
        fault = _fault_of(answer.get("fault"))
        if not self.ready:
            hooks, warnings = answer.get("ready"), answer.get("warnings")
            if fault is not None or not isinstance(hooks, list) or not isinstance(warnings, list):
                self.kill(fault or Fault("module", "it says nothing of its hooks"))
                return
            self.ready = True
            if self.retired:
                self._hang_up()
            self._keeper.process_ready(self, frozenset(map(str, hooks)), [loggable(str(w)) for w in warnings])
            return
        self.calling = False
        self.answered = True
        if self.retired:
            self._hang_up()
        elif fault is not None and fault.kind == "memory":
            # Whatever has no memory is in no state to go on.
            self.kill(Fault("died", "it is replaced, since its memory is used up"))
        result = answer.get("answer")
        if not isinstance(result, dict):
            result = Fault("result", "its answer is not one")
        self._keeper.process_answered(self, result if fault is None else fault)

    def printed(self, data: bytes) -> None:
        """Log what the module prints."""
        for line in self._lines.feed(data):
            _LOG.info("policy %s: printed: %s", self.settings.name, line)
        self._taken += len(data)
        if self._taken > MAX_OUTPUT and self._transport is not None:
            pipe = cast("asyncio.ReadTransport | None", self._transport.get_pipe_transport(1))
            if pipe is not None:
                pipe.pause_reading()
                self._loop.call_later(OUTPUT_PAUSE, self._go_on_reading, pipe)

    def _go_on_reading(self, pipe: asyncio.ReadTransport) -> None:
        self._taken = 0
        if not self._exited and not pipe.is_closing():
            pipe.resume_reading()

    # -- the end --------------------------------------------------------------------------------------

    def _limit(self, seconds: float, step: Callable[[], None] | None = None) -> None:
        """Set the time limit of what happens now; 0.0: nothing happens."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, step or self._overdue) if seconds else None

    def _overdue(self) -> None:
        if self.ready:
            text = f"it did not return within {self.settings.timeout:g} s (spec.policy.timeout)"
        else:
            text = f"the module was not loaded within {START_LIMIT:g} s"
        self.kill(Fault("timeout", text))

    def _hang_up(self) -> None:
        """No more calls: it ends by itself, or is ended."""
        if self._calls is not None:
            self._calls.close()
        self._limit(ABORT_GRACE, self._kill_for_good)

    def _kill_for_good(self) -> None:
        self._signal(signal.SIGKILL)
        self._limit(EXIT_PATIENCE, lambda: self._ended(None))

    def _signal(self, number: signal.Signals) -> None:
        if self._transport is None or self._exited:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._transport.get_pid(), number)  # its own session: it and all that it started

    def hung_up(self) -> None:
        """It has closed the socket; without it, it is of no use."""
        if not self._exited and self._why is None and not self.retired:
            self._why = Fault("died", "it closed its connection to the dispatcher")
            self._limit(ABORT_GRACE, self._kill_for_good)

    def exited(self) -> None:
        """The process has ended, by itself or not."""
        assert self._transport is not None
        self._signal(signal.SIGKILL)  # what it may have left behind
        self._exited = True
        code = self._transport.get_returncode()
        if self._why is None or self._why.kind == "died":
            self._why = Fault("died", _how(code))
        self._ended(None)

    def _ended(self, fault: Fault | None) -> None:
        self._limit(0.0)
        if self._crash >= 0:
            trace = b""
            with contextlib.suppress(OSError):
                trace = os.read(self._crash, 16 * 1024)
            os.close(self._crash)
            self._crash = -1
            if self._why is not None and not self._why.line:
                self._why.line, hook = crashed_at(trace)
                self._why.hook = self._why.hook or hook
        for transport in (self._calls, self._transport):
            if transport is not None:
                transport.close()
        keeper, self._keeper = self._keeper, _NOBODY
        self.ready = False
        calling, self.calling = self.calling, False
        why = fault or self._why or Fault("died", "it has ended")
        self._exited = True
        keeper.process_ended(self, why, calling=calling)


def _how(code: int | None) -> str:
    if code is None:
        return "it has ended"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process has ended with status {code}"


def _fault_of(facts: Any) -> Fault | None:
    """A fault as the process tells it, cleaned; None where there is none."""
    if not isinstance(facts, dict):
        return None
    kind, line, hook = facts.get("kind"), facts.get("line"), facts.get("hook")
    return Fault(
        kind if kind in KINDS else "result",
        loggable(str(facts.get("text"))),
        line if isinstance(line, int) and 0 <= line < 10**6 else 0,
        loggable(str(hook))[:80] if hook else "",
    )


class _Nobody:
    def process_ready(self, process: PolicyProcess, hooks: frozenset[str], warnings: Sequence[str]) -> None:
        pass

    def process_answered(self, process: PolicyProcess, answer: dict[str, Any] | Fault) -> None:
        pass

    def process_ended(self, process: PolicyProcess, fault: Fault, *, calling: bool) -> None:
        pass


_NOBODY: Final[Keeper] = _Nobody()


class _Calls(asyncio.Protocol):
    def __init__(self, process: PolicyProcess) -> None:
        self._process = process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._process.connected(cast("asyncio.Transport", transport))  # uvloop's is of no such class

    def data_received(self, data: bytes) -> None:
        self._process.received(data)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._process.hung_up()


class _Watch(asyncio.SubprocessProtocol):
    def __init__(self, process: PolicyProcess) -> None:
        self._process = process

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd
        self._process.printed(data)

    def process_exited(self) -> None:
        self._process.exited()
