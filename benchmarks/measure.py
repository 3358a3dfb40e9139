"""One run's figures, and the window in which they are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from benchmarks.processes import machine_cpu, memory, usage


class BenchmarkError(RuntimeError):
    """A run that is worth nothing: something was refused, lost, doubled, or a program failed."""


@dataclass(frozen=True)
class Result:
    """One run. Seconds throughout; CPU is user and system time within the window.

    `messages` in the window of `seconds`; `cpu` of the program under test with all its children, `memory`
    their bytes at the window's end (proportional set size: a page that two share counts half for each);
    `load_cpu` and `sink_cpu` of the generator and the sink; `other_cpu` of everything else on the machine;
    `p50`, `p99` and `longest` from a message's first byte (or the moment it was due) to its last reply, None
    where not taken.
    """

    messages: int
    seconds: float
    cpu: float
    memory: int
    load_cpu: float = 0.0
    sink_cpu: float = 0.0
    other_cpu: float = 0.0
    p50: float | None = None
    p99: float | None = None
    longest: float | None = None

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds

    @property
    def cost(self) -> float:
        """CPU microseconds per message."""
        return self.cpu / self.messages * 1e6

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "rate": self.rate, "cpu_us": self.cost}


@dataclass(frozen=True)
class Bounds:
    """How long a run lasts: warm-up and window in seconds, and the most messages in the window."""

    warmup: float = 1.5
    seconds: float = 5.0
    messages: int = 1_000_000

    def wait(self, count: Callable[[], int]) -> None:
        """Return when the window is over: after its time, or when `count()` has reached the most.

        Within the first second it is asked often only where few messages are wanted.
        """
        until(self.seconds, lambda: count() >= self.messages, often=self.messages < 10_000)


def until(seconds: float, reached: Callable[[], bool], *, often: bool = True) -> None:
    """Return after so many seconds, or as soon as `reached()`."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        time.sleep(min(0.02 if often else 0.25, left))
        if reached():
            return


class Reading(NamedTuple):
    """What the clocks say at one end of a window."""

    at: float
    cpu: float
    load: float
    sink: float
    machine: float


def reading(program: int, sink: int, load: float = 0.0) -> Reading:
    """Read all clocks; `sink` 0: there is none; `load` is the generator's own word of its CPU."""
    return Reading(
        time.perf_counter(), usage(program).cpu, load, usage(sink).cpu if sink else 0.0, machine_cpu()
    )


def result(messages: int, first: Reading, last: Reading, program: int, **latencies: Any) -> Result:
    """The run between two readings.

    Raises:
        BenchmarkError: nothing was taken.
    """
    if messages <= 0:
        raise BenchmarkError("no message was accepted in the window")
    cpu, load, sink = last.cpu - first.cpu, last.load - first.load, last.sink - first.sink
    return Result(
        messages,
        last.at - first.at,
        cpu,
        memory(program),
        load,
        sink,
        max(0.0, last.machine - first.machine - cpu - load - sink),
        **latencies,
    )
