"""An event loop without I/O, whose turns and time a test moves by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from tests.support.clock import FakeClock


class FakeLoop(asyncio.AbstractEventLoop):
    """Callbacks and timers only; everything else that a loop can do raises NotImplementedError.

    Callbacks run in the order of their time, those of one time in the order in which they were scheduled. What a
    callback schedules runs in the next turn. An exception in a callback is the test's: it leaves `turn`.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.clock = FakeClock(now)
        self.timers: list[asyncio.TimerHandle] = []
        """What has not run yet; cancelled ones are dropped when their time comes."""

    @property
    def now(self) -> float:
        return self.clock.now

    def time(self) -> float:
        return self.clock.now

    def get_debug(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now, callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.timers.append(timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by a handle that is cancelled; `turn` looks for itself."""

    def turn(self) -> int:
        """One turn of the loop: run what is due now. Returns how many callbacks ran."""
        due = sorted(
            (timer for timer in self.timers if timer.when() <= self.now), key=lambda timer: timer.when()
        )
        self.timers = [timer for timer in self.timers if timer.when() > self.now]
        ran = 0
        for timer in due:
            if not timer.cancelled():
                timer._run()
                ran += 1
        return ran

    def run_until_idle(self) -> None:
        """Turn until nothing is due; time stands still."""
        while self.turn():
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, running everything at its time."""
        end = self.now + seconds
        while due := [timer.when() for timer in self.timers if not timer.cancelled() and timer.when() <= end]:
            self.clock.now = max(self.now, min(due))
            self.turn()
        self.clock.now = end
