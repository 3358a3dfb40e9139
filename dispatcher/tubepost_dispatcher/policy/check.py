"""Checks a module before it is in force: loads it in a process with the limits that it will have. Blocks.

For threads and commands: it waits for the process, at most `START_LIMIT`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tubepost_api.config import DispatcherConfig, PolicyConfig
from tubepost_api.problems import Problem, ProblemCode
from tubepost_dispatcher.policy.output import Lines, crashed_at, loggable
from tubepost_dispatcher.policy.settings import START_LIMIT, spawn
from tubepost_dispatcher.policy.wire import FILE, LENGTH, MAX_FRAME, frame

MAX_PRINTED: Final = 200
"""Lines of a module's output that are kept."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a module, or went wrong in a call; `line` 0 where there is none."""

    text: str
    line: int = 0
    hook: str = ""

    def __str__(self) -> str:
        return f"{FILE}, line {self.line}: {self.text}" if self.line else f"{FILE}: {self.text}"


@dataclass(slots=True)
class Checked:
    """A module that was loaded, or not."""

    hooks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    finding: Finding | None = None
    """Why it cannot be in force; None: it can."""
    printed: list[str] = field(default_factory=list)
    """What it printed."""


class Session:
    """A policy process of one's own, for a check or a rehearsal. Use it in a `with` statement.

    Args:
        settings: the module and its limits.
        clock: monotonic seconds.
    """

    def __init__(self, settings: PolicyConfig) -> None:
        self._settings = settings
        self._lines = Lines()
        self.checked = Checked()

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair()
        self._crash, crash = os.pipe()
        self._output, output = os.pipe()
        try:
            self._process = spawn(theirs.fileno(), crash, output, self._settings.memory)
        except BaseException:
            self._socket.close()
            os.close(self._crash)
            os.close(self._output)
            raise
        finally:
            theirs.close()
            os.close(crash)
            os.close(output)
        os.set_blocking(self._crash, False)
        self.checked = self._load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._drain()
        self._socket.close()
        os.close(self._crash)
        os.close(self._output)

    def call(self, content: Mapping[str, Any]) -> dict[str, Any] | Finding:
        """Have hooks called as the dispatcher does; what they answer, or what went wrong."""
        return self._ask(json.dumps(content).encode(), self._settings.timeout)

    def _load(self) -> Checked:
        answer = self._ask(self._settings.source.encode("utf-8"), START_LIMIT)
        self._drain()
        if isinstance(answer, Finding):
            return Checked(finding=answer, printed=self.checked.printed)
        hooks = tuple(str(name) for name in answer.get("ready", ()))
        warnings = tuple(loggable(str(text)) for text in answer.get("warnings", ()))
        return Checked(hooks, warnings, printed=self.checked.printed)

    def _ask(self, content: bytes, seconds: float) -> dict[str, Any] | Finding:
        end = time.monotonic() + seconds
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(frame(content))
            answer = self._receive(end)
        except TimeoutError:
            return self._died(f"it did not end within {seconds:g} s")
        except OSError:
            answer = b""
        try:
            found = json.loads(answer) if answer else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            return self._died("its process has ended" if not answer else "its answer is not one")
        fault = found.get("fault")
        if isinstance(fault, dict):
            line = fault.get("line")
            return Finding(
                loggable(str(fault.get("text"))), line if isinstance(line, int) else 0, str(fault.get("hook"))
            )
        inner = found.get("answer", found)
        return inner if isinstance(inner, dict) else Finding("its answer is not one")

    def _receive(self, end: float) -> bytes:
        wanted, data = LENGTH, b""
        while len(data) < wanted:
            # Its output is read meanwhile, lest it wait for that to be taken.
            rest = end - time.monotonic()
            if rest <= 0:
                raise TimeoutError
            calls = self._socket.fileno()
            readable, _, _ = select.select([calls, self._output], [], [], rest)
            if self._output in readable:
                self._drain()
            if calls not in readable:
                if not readable:
                    raise TimeoutError
                if self._process.poll() is not None:
                    return b""
                continue
            piece = self._socket.recv(wanted - len(data))
            if not piece:
                return b""
            data += piece
            if wanted == LENGTH == len(data):
                wanted += int.from_bytes(data, "big")
                if wanted > MAX_FRAME:
                    return b"?"
        return data[LENGTH:]

    def _drain(self) -> None:
        """Keep what was printed; never waits."""
        while select.select([self._output], [], [], 0)[0]:
            data = os.read(self._output, 65_536)
            if not data:
                return
            self.checked.printed.extend(self._lines.feed(data)[: MAX_PRINTED - len(self.checked.printed)])

    def _died(self, text: str) -> Finding:
        self._end(signal.SIGABRT)
        line, hook = 0, ""
        with suppress(OSError):
            line, hook = crashed_at(os.read(self._crash, 16_384))
        code = self._process.returncode
        if code is not None and code < 0 and code != -signal.SIGABRT:
            with suppress(ValueError):
                text = f"its process was ended by {signal.Signals(-code).name}"
        elif code:
            text = f"its process has ended with status {code}" if code > 0 else text
        return Finding(text, line, hook)

    def _end(self, first: signal.Signals = signal.SIGKILL) -> None:
        for number in (first, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                if self._process.returncode is None:
                    os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
                break
        else:
            self._process.wait()


def check_module(settings: PolicyConfig) -> Checked:
    """Load a module as the dispatcher would, and say what is wrong with it.

    Raises:
        OSError: no process can be started here.
    """
    with Session(settings) as session:
        return session.checked


def module_problems(config: DispatcherConfig) -> tuple[Problem, ...]:
    """What is wrong or doubtful about the module of a configuration; empty without one. Blocks."""
    policy = config.policy
    if policy is None:
        return ()
    where = ("", "PushDomain", config.namespace, config.name, "spec.policy.configMapName")
    try:
        checked = check_module(policy)
    except OSError as error:
        text = f"the module could not be checked, since no process can be started: {error.strerror}"
        return (Problem("warning", *where, text, "look at the limits of this container"),)
    named = f"ConfigMap {policy.name!r}"
    problems = [
        Problem("warning", *where, f"{named}, {FILE}: {text}", "correct the name, or let it begin otherwise")
        for text in checked.warnings
    ]
    if checked.finding is not None:
        remedy = "correct the module; tubepost policy test shows what it does"
        text = f"{named}, {checked.finding}"
        problems.insert(0, Problem("error", *where, text, remedy, ProblemCode.POLICY_INVALID))
    return tuple(problems)
