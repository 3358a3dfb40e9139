"""How long a worker's event loop does not turn, as a session sees it that only says RSET.

The longest round trip is the stall. Of each round trip the time is taken away in which the loop's thread, or
the probe's own, could have run and had no core (`run_delay` in proc(5)'s schedstat): a busy machine must not
look like a stall of the program, and what the program waits for, a lock or a disk, must look like one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

PAUSE = 0.002
"""Seconds between two round trips."""


class Times(NamedTuple):
    """Of one thread since it began, in seconds: on a core, and ready for one without having it."""

    cpu: float
    waited: float


def times(pid: int, thread: int) -> Times:
    """Read a thread's times.

    Raises:
        OSError: there is no such thread, or the kernel does not tell.
    """
    fields = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text(encoding="ascii").split()
    return Times(int(fields[0]) / 1e9, int(fields[1]) / 1e9)


class Trip(NamedTuple):
    """One round trip, in seconds: by the clock, without what was waited for a core, the loop's CPU in it."""

    wall: float
    net: float
    cpu: float


@dataclass(frozen=True)
class Stall:
    """The longest of each, in milliseconds: `ms` is the figure, the others say what it is made of."""

    ms: float
    wall_ms: float
    cpu_ms: float
    p999_ms: float
    """99.9 % of the round trips took less, without what was waited for a core."""
    trips: int

    @classmethod
    def of(cls, trips: Sequence[Trip]) -> Stall:
        """From at least one round trip."""
        net = sorted(trip.net for trip in trips)
        return cls(
            net[-1] * 1e3,
            max(trip.wall for trip in trips) * 1e3,
            max(trip.cpu for trip in trips) * 1e3,
            net[int(len(net) * 0.999)] * 1e3,
            len(trips),
        )

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def trip(ask: Callable[[], object], loop: Callable[[], Times], own: Callable[[], Times]) -> Trip:
    """Time one round trip; `loop` and `own` read the times of the loop's thread and of this one."""
    theirs, ours, begun = loop(), own(), time.perf_counter()
    ask()
    wall = time.perf_counter() - begun
    after, waited = loop(), own().waited - ours.waited
    return Trip(wall, max(0.0, wall - (after.waited - theirs.waited) - waited), after.cpu - theirs.cpu)


class Client:
    """A plain SMTP client on a blocking socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.reply()
        self.command(b"EHLO bench.example")

    def reply(self) -> bytes:
        """The last line of the next reply; empty when the connection is gone."""
        while (line := self._file.readline())[3:4] == b"-":
            pass
        return line

    def command(self, line: bytes) -> bytes:
        """Send a command and return the reply."""
        self._socket.sendall(line + b"\r\n")
        return self.reply()

    def send(self, recipient: str, content: bytes) -> bytes:
        """Send a message, `content` with its dot at the end, and return the reply to it."""
        self.command(b"MAIL FROM:<alerts@sender.example>")
        self.command(b"RCPT TO:<" + recipient.encode() + b">")
        self.command(b"DATA")
        self._socket.sendall(content)
        return self.reply()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def probing(port: int, worker: int) -> Iterator[list[Trip]]:
    """Probe within the `with` block; the list is whole after it.

    Nothing else that takes long may run in this process: its other threads would keep the interpreter.

    Args:
        port: of the listener.
        worker: process of the only worker there is; its main thread runs the loop.
    """
    found: list[Trip] = []
    over = threading.Event()
    faults: list[BaseException] = []

    def probe() -> None:
        own = threading.get_native_id()
        try:
            with contextlib.closing(Client(port)) as client:
                while not over.is_set():
                    found.append(
                        trip(
                            lambda: _said(client),
                            lambda: times(worker, worker),
                            lambda: times(os.getpid(), own),
                        )
                    )
                    time.sleep(PAUSE)
        except (OSError, RuntimeError) as error:
            faults.append(error)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
    if faults:
        raise faults[0]


def _said(client: Client) -> None:
    reply = client.command(b"RSET")
    if not reply.startswith(b"250"):
        raise RuntimeError(f"RSET was answered {reply!r}")
