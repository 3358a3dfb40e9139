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
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import orjson

from tubepost_api.config import PolicyConfig
from tubepost_dispatcher.policy.faults import Fault, ended_how, read_fault
from tubepost_dispatcher.policy.output import Lines, crashed_at, loggable
from tubepost_dispatcher.policy.settings import ABORT_GRACE, START_LIMIT, spawn
from tubepost_dispatcher.policy.wire import LENGTH, MAX_FRAME, frame

_LOG = logging.getLogger("tubepost.policy")

# With vfork, all of this process would stand still until the kernel has run the new program.
setattr(subprocess, "_USE_VFORK", False)  # noqa: B010 - documented there, unknown to type checkers

MAX_OUTPUT: Final = 64 * 1024
"""Bytes of output that are read in a row; then reading pauses, and what does not fit the pipe is dropped."""
_READ: Final = 256 * 1024
OUTPUT_PAUSE: Final = 1.0
"""Seconds of that pause."""
EXIT_PATIENCE: Final = 5.0
"""Seconds after SIGKILL after which a process that has not ended is taken for ended."""


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
    """

    def __init__(
        self,
        settings: PolicyConfig,
        keeper: Keeper,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.settings = settings
        self._keeper = keeper
        self._loop = loop
        self._pid = 0
        self._output = -1
        self._socket: socket.socket | None = None
        self._unsent = b""
        self._writing = False
        """The loop tells when the socket takes more."""
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
        self.was_ready = False
        """It has been."""
        self.calling = False
        """It has a call in execution."""
        self.retired = False
        """It is to end once it has no call in execution."""
        self.answered = False
        """It has answered a call: it was of use."""
        self._limit(START_LIMIT)
        # To start a program takes until the kernel has run it, and the event loop is not to wait for that.
        # The thread lives as long as the process, which ends with it.
        threading.Thread(target=self._run, name="policy", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number; 0 before it is started, and after its end."""
        return 0 if self._exited else self._pid

    @property
    def free(self) -> bool:
        """Whether it takes a call now."""
        return self.ready and not self.calling and self._why is None and not self.retired

    def call(self, content: bytes) -> None:
        """Have it execute one call; only while it is free."""
        self.calling = True
        self._limit(self.settings.timeout)
        self._send(content)

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

    def _run(self) -> None:
        """In the thread: start the process, and wait for its end."""
        ours, theirs = socket.socketpair()
        crash, theirs_crash = os.pipe()
        output, theirs_output = os.pipe()
        try:
            process = spawn(theirs.fileno(), theirs_crash, theirs_output, self.settings.memory)
        except OSError as error:
            ours.close()
            os.close(crash)
            os.close(output)
            self._tell(self._ended, Fault("died", f"it cannot be started: {error.strerror}"))
            return
        finally:
            theirs.close()
            os.close(theirs_crash)
            os.close(theirs_output)
        self._tell(self._started, process.pid, ours, crash, output)
        # Its number stays its own until it has been waited for: whatever it left behind is ended before that.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._tell(self.exited, process.wait())

    def _tell(self, what: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to be told
            self._loop.call_soon_threadsafe(what, *values)

    def _started(self, pid: int, ours: socket.socket, crash: int, output: int) -> None:
        self._pid = pid
        if self._exited:  # it was given up before it had begun
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            ours.close()
            os.close(crash)
            os.close(output)
            return
        for descriptor in (crash, output):
            os.set_blocking(descriptor, False)
        ours.setblocking(False)
        self._crash, self._output = crash, output
        self._loop.add_reader(output, self._read_output)
        self._socket = ours
        self._loop.add_reader(ours.fileno(), self._readable)
        self._send(self.settings.source.encode("utf-8"))
        if self._why is not None or self.retired:
            self._kill_for_good()

    def _send(self, content: bytes) -> None:
        """Send a frame; what the socket does not take at once follows."""
        self._unsent += frame(content)
        self._write()

    def _write(self) -> None:
        if self._socket is None:
            return
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it has gone, which is noticed where it is read
        self._unsent = self._unsent[sent:]
        if bool(self._unsent) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._socket.fileno(), self._write)
            else:
                self._loop.remove_writer(self._socket.fileno())

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            if self._writing:
                self._loop.remove_writer(self._socket.fileno())
                self._writing = False
            self._socket.close()
            self._socket = None

    # -- what comes -----------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Take a part of an answer, or notice that there will be none."""
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close_socket()
            self._hung_up()
            return
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
        fault = read_fault(answer.get("fault"))
        if not self.ready:
            hooks, warnings = answer.get("ready"), answer.get("warnings")
            if fault is not None or not isinstance(hooks, list) or not isinstance(warnings, list):
                self.kill(fault or Fault("module", "it says nothing of its hooks"))
                return
            self.ready = self.was_ready = True
            if self.retired:
                self._hang_up()
            self._keeper.process_ready(self, frozenset(map(str, hooks)), [loggable(str(w)) for w in warnings])
            return
        self.calling = False
        self.answered = True
        if self.retired:
            self._hang_up()
        elif fault is not None and (fault.kind == "memory" or answer.get("last")):
            # Whatever has no memory is in no state to go on.
            self.kill(Fault("died", f"it is replaced, since {fault.text}"))
        result = answer.get("answer")
        if not isinstance(result, dict):
            result = Fault("result", "its answer is not one")
        self._keeper.process_answered(self, result if fault is None else fault)

    def _read_output(self) -> None:
        """Log what the module prints."""
        try:
            data = os.read(self._output, MAX_OUTPUT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close_output()
            return
        for line in self._lines.feed(data):
            _LOG.info("policy %s: printed: %s", self.settings.name, line)
        self._taken += len(data)
        if self._taken > MAX_OUTPUT:
            self._loop.remove_reader(self._output)
            self._loop.call_later(OUTPUT_PAUSE, self._go_on_reading)

    def _go_on_reading(self) -> None:
        self._taken = 0
        if self._output >= 0:
            self._loop.add_reader(self._output, self._read_output)

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1

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
        self._close_socket()
        self._limit(ABORT_GRACE, self._kill_for_good)

    def _kill_for_good(self) -> None:
        self._signal(signal.SIGKILL)
        self._limit(EXIT_PATIENCE, lambda: self._ended(None))

    def _signal(self, number: signal.Signals) -> None:
        if not self._pid or self._exited:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)  # its own session: it and all that it started

    def _hung_up(self) -> None:
        """It has closed the socket; without it, it is of no use."""
        if not self._exited and self._why is None and not self.retired:
            self._why = Fault("died", "it closed its connection to the dispatcher")
            self._limit(ABORT_GRACE, self._kill_for_good)

    def exited(self, code: int) -> None:
        """The process has ended, by itself or not."""
        self._exited = True
        if self._output >= 0 and not self._taken > MAX_OUTPUT:
            self._read_output()  # its last words
        self._close_output()
        if self._why is None or self._why.kind == "died":
            self._why = Fault("died", ended_how(code))
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
        self._close_output()
        self._close_socket()
        keeper, self._keeper = self._keeper, _NOBODY
        self.ready = False
        calling, self.calling = self.calling, False
        why = fault or self._why or Fault("died", "it has ended")
        self._exited = True
        keeper.process_ended(self, why, calling=calling)


class _Nobody:
    def process_ready(self, process: PolicyProcess, hooks: frozenset[str], warnings: Sequence[str]) -> None:
        pass

    def process_answered(self, process: PolicyProcess, answer: dict[str, Any] | Fault) -> None:
        pass

    def process_ended(self, process: PolicyProcess, fault: Fault, *, calling: bool) -> None:
        pass


_NOBODY: Final[Keeper] = _Nobody()
