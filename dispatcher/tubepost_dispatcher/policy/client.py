"""The policy processes of one worker, and the calls that wait for one: never waits itself.

Lives on one event loop; every method is called on it. One call at a time is in execution in a process; the
others wait in a line. When a process dies, the call that it had fails, and the next go to its successor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from tubepost_api.config import PolicyConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.policy.faults import KINDS, Fault
from tubepost_dispatcher.policy.process import PolicyProcess
from tubepost_dispatcher.policy.wire import AT, POINTS, Point
from tubepost_runtime.backoff import Backoff, Exponential
from tubepost_runtime.metrics import begin

_LOG = logging.getLogger("tubepost.policy")

MAX_WAITING: Final = 20_000
"""Calls that wait for a process; more fail at once. Messages in memory are no more than about so many."""
MAX_WAIT: Final = 30.0
"""Seconds that a call waits for its turn."""
LOAD_AGAIN: Final = Exponential(0.1, 30.0, jitter=(0.8, 1.2))
"""Pauses before another process is started, where one after the other does not get as far as a call."""
START_AGAIN: Final = Exponential(0.05, 1.0, jitter=(0.8, 1.2))
"""The same where the first call ends each: what others have to wait for is not to be long."""
SLOW: Final = 0.05
"""Seconds after which a call counts as slow: the process that stands by serves others meanwhile."""

Answer = Callable[[dict[str, Any] | Fault], None]


class Call:
    """One call, until it is answered."""

    __slots__ = ("at", "begun", "content", "done", "label", "point")

    def __init__(self, point: Point, content: Callable[[], dict[str, Any]], done: Answer, at: float) -> None:
        self.point: Point = point
        self.content = content
        self.done: Answer | None = done
        """None once it is answered or withdrawn."""
        self.at = at
        """Monotonic seconds at which it was made."""
        self.begun = 0.0
        """At which its execution began; 0.0 while it waits."""
        self.label = ""
        """What it is about, for the log."""


class PolicyClient:
    """Answers calls by processes that run the module.

    Args:
        settings: of the policy.
        metrics: where to count.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: PolicyConfig,
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._waiting: deque[Call] = deque()
        self._processes: dict[PolicyProcess, Call | None] = {}
        """Those of the module in force, one more than serve, each with the call that it executes."""
        self._leaving: dict[PolicyProcess, Call | None] = {}
        """Those of before."""
        self._loading = Backoff(LOAD_AGAIN)
        self._starting = Backoff(START_AGAIN)
        self._restart: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._standby: asyncio.TimerHandle | None = None
        self._closed = False
        self._gone: asyncio.Event | None = None
        """Set when the last process has ended, once it is closed."""
        self._asked: frozenset[Point] = frozenset(POINTS)
        """Points that the module has a hook for; all of them while that is not known."""
        self._known = False
        self._seconds = {point: metrics.policy_seconds.labels(point) for point in POINTS}
        begin(metrics.policy_faults, POINTS, KINDS)
        self._calls = {point: metrics.tally(metrics.policy_calls.labels(point)) for point in POINTS}
        self._start_missing()

    @property
    def settings(self) -> PolicyConfig:
        """The policy in force."""
        return self._settings

    @property
    def waiting(self) -> int:
        """Calls that wait for a process."""
        return len(self._waiting)

    @property
    def ready(self) -> int:
        """Processes whose module is loaded."""
        return sum(process.ready for process in self._processes)

    @property
    def pids(self) -> list[int]:
        """The processes of the module in force that have been started."""
        return [process.pid for process in self._processes if process.pid]

    def has(self, point: Point) -> bool:
        """Whether the module has a hook for this point; True while that is not known yet."""
        return point in self._asked

    # -- what is asked --------------------------------------------------------------------------------

    def call(
        self, point: Point, content: Callable[[], dict[str, Any]], done: Answer, label: str = ""
    ) -> Call:
        """Have the hooks of a point called.

        Args:
            point: which.
            content: makes what they are given, when its turn has come.
            done: told what came of it, once, never from inside this call.
            label: what it is about, for the log.
        """
        call = Call(point, content, done, self._clock())
        call.label = label
        if self._closed or len(self._waiting) >= MAX_WAITING:
            text = "the worker ends" if self._closed else f"{MAX_WAITING} calls wait already"
            self._loop.call_soon(self._answer, call, Fault("busy", text))
            return call
        if self._waiting or not self._execute_now(call):
            self._waiting.append(call)
            if self._timer is None:
                self._timer = self._loop.call_later(MAX_WAIT, self._look_at_the_line)
        return call

    def withdraw(self, call: Call) -> None:
        """Nobody waits for its answer any more; a hook that is being executed is left to it."""
        call.done = None

    def swap(self, settings: PolicyConfig) -> None:
        """Put another module, or other limits, in force between two calls."""
        before, self._settings = self._settings, settings
        if before == settings:
            return
        for process in self._processes:
            process.retire()
        self._leaving.update(self._processes)
        self._processes = {}
        self._asked, self._known = frozenset(POINTS), False
        self._loading.success()
        self._starting.success()
        self._start_missing()

    async def close(self, grace: float) -> None:
        """End all processes; calls that are under way have at most `grace` seconds."""
        self._closed = True
        for timer in (self._restart, self._timer, self._standby):
            if timer is not None:
                timer.cancel()
        every = [*self._processes, *self._leaving]
        for process in every:
            process.retire()
        if every:
            self._gone = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._gone.wait()
        for process in [*self._processes, *self._leaving]:
            process.kill(Fault("died", "the worker ends"))
        for call in self._waiting:
            self._answer(call, Fault("busy", "the worker ends"))
        self._waiting.clear()
        if self._gone is not None:
            await self._gone.wait()

    # -- the line -------------------------------------------------------------------------------------

    def _execute_now(self, call: Call) -> bool:
        """Execute a call if a process is free, and it is not the one that stands by for nothing."""
        now = self._clock()
        begun = [one.begun for one in self._processes.values() if one is not None]
        if len(begun) >= self._settings.processes:
            wait = min(begun) + min(SLOW, self._settings.timeout / 4) - now
            if wait > 0:
                if self._standby is None:
                    self._standby = self._loop.call_later(wait, self._stand_in)
                return False
        for process in self._processes:
            if process.free:
                call.begun = now
                self._processes[process] = call
                process.call(orjson.dumps({"point": call.point, **call.content()}))
                return True
        return False

    def _stand_in(self) -> None:
        self._standby = None
        self._go_on()

    def _go_on(self) -> None:
        """Let those that wait have their turn."""
        while self._waiting:
            call = self._waiting[0]
            if call.done is None:
                self._waiting.popleft()
            elif not self.has(call.point):
                self._waiting.popleft()
                self._answer(call, {})
            elif self._execute_now(call):
                self._waiting.popleft()
            else:
                return

    def _look_at_the_line(self) -> None:
        """End the wait of those that have waited for too long."""
        self._timer = None
        now = self._clock()
        while self._waiting and (self._waiting[0].done is None or now - self._waiting[0].at >= MAX_WAIT):
            call = self._waiting.popleft()
            self._answer(call, Fault("busy", f"no process was free within {MAX_WAIT:g} s"))
        if self._waiting:
            self._timer = self._loop.call_later(
                max(0.0, self._waiting[0].at + MAX_WAIT - now), self._look_at_the_line
            )

    def _answer(self, call: Call, answer: dict[str, Any] | Fault) -> None:
        done, call.done = call.done, None
        if isinstance(answer, Fault):
            self._metrics.policy_faults.labels(call.point, answer.kind).inc()
            _LOG.warning(
                "policy %s, %s: message %s: %s: %s",
                self._settings.name,
                call.point,
                call.label,
                answer.kind,
                answer,
            )
        if done is not None:
            done(answer)

    def _executed(self, call: Call, answer: dict[str, Any] | Fault) -> None:
        """One that was in execution is answered."""
        self._calls[call.point].count += 1
        self._seconds[call.point].observe(self._clock() - call.begun)
        self._answer(call, answer)

    # -- processes ------------------------------------------------------------------------------------

    def _start_missing(self) -> None:
        self._restart = None
        while not self._closed and len(self._processes) <= self._settings.processes:
            process = PolicyProcess(self._settings, self, self._loop)
            self._processes[process] = None

    def process_ready(self, process: PolicyProcess, hooks: frozenset[str], warnings: Sequence[str]) -> None:
        """See `Keeper`."""
        if process not in self._processes:
            return
        if not self._known:
            for warning in warnings:
                _LOG.warning("policy %s: %s", self._settings.name, warning)
        self._asked = frozenset(point for point in POINTS if not hooks.isdisjoint(AT[point]))
        self._known = True
        self._go_on()

    def process_answered(self, process: PolicyProcess, answer: dict[str, Any] | Fault) -> None:
        """See `Keeper`."""
        which = self._processes if process in self._processes else self._leaving
        call = which.get(process)
        if call is not None:
            which[process] = None
            self._loading.success()
            self._starting.success()
            self._go_on()  # the process works on the next call while this one is looked at
            self._executed(call, answer)

    def process_ended(self, process: PolicyProcess, fault: Fault, *, calling: bool) -> None:
        """See `Keeper`."""
        in_force = process in self._processes
        call = (self._processes if in_force else self._leaving).pop(process, None)
        if in_force and not process.retired:
            self._replace(process, fault)
        if call is not None and calling:
            self._executed(call, fault)
        if self._gone is not None and not self._processes and not self._leaving:
            self._gone.set()

    def _replace(self, process: PolicyProcess, fault: Fault) -> None:
        self._metrics.policy_restarts.labels(fault.kind).inc()
        pause = 0.0
        if not process.answered:
            pause = (self._starting if process.was_ready else self._loading).failure(self._clock())
        _LOG.warning(
            "policy %s: a process is replaced%s: %s",
            self._settings.name,
            f" in {pause:.1f} s" if pause else "",
            fault,
        )
        if self._closed or self._restart is not None:
            return
        if pause:
            self._restart = self._loop.call_later(pause, self._start_missing)
        else:
            self._start_missing()
