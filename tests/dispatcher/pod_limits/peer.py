"""Another worker of the pod, as far as limits go: a process that does what lines on its standard input say.

`stopped` as second argument: it stops itself when it has a lock for the first time, before it goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from tubepost_api.config import Throttle
from tubepost_dispatcher.pod_limits.memory import Memory
from tubepost_dispatcher.pod_limits.shared import SharedLimits


class _Stopping(Memory):
    def __init__(self, fd: int) -> None:
        self._armed = False
        super().__init__(fd)
        self._armed = True

    def lock(self, start: int, length: int) -> bool:
        had = super().lock(start, length)
        if had and self._armed:
            self._armed = False
            os.kill(os.getpid(), signal.SIGSTOP)
        return had


def _do(limits: SharedLimits, verb: str, name: str, number: int, times: int) -> int:
    match verb:
        case "take":
            return sum(limits.take(name, number) for _ in range(times))
        case "give":
            for _ in range(times):
                limits.give(name)
            return times
        case "taken":
            return limits.taken(name)
        case "reserve":
            # As many as may leave at the very same time for everybody, whenever they are asked for.
            now = float(times)
            bucket = limits.bucket(name, Throttle(messages=number))
            return sum(bucket.reserve(now, now) >= 0 for _ in range(2 * number))
        case "pace":
            bucket, sent = limits.bucket(name, Throttle(messages=number)), 0
            end = time.monotonic() + times
            while (now := time.monotonic()) < end:
                sent += bucket.reserve(now, now) >= 0
            return sent
        case "churn":
            end, most = time.monotonic() + times, 0
            while time.monotonic() < end:
                if limits.take(name, number):
                    most = max(most, limits.taken(name))
                    limits.give(name)
            return most
    raise ValueError(verb)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    """Obey until the input ends."""
    memory = (_Stopping if "stopped" in sys.argv[2:] else Memory)(int(sys.argv[1]))
    limits = SharedLimits(memory)
    _answer(memory.row)
    for line in sys.stdin:
        verb, name, number, times, start = line.split()
        while time.monotonic() < float(start):
            pass  # so that all begin at once
        _answer(_do(limits, verb, name, int(number), int(times)))


if __name__ == "__main__":
    main()
