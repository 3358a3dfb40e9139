"""SMTP alone: our listener, stock aiosmtpd and Postfix's smtp-sink, each taking every message at once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.fixtures import Fixtures
from benchmarks.load import Feed, Load
from benchmarks.measure import Bounds, Result, reading, result
from benchmarks.processes import free_port
from benchmarks.programs import running
from tests.peers import tools

SERVERS: dict[str, Callable[[int], list[str]]] = {
    "tubepost": lambda port: [sys.executable, "-m", "benchmarks.null_smtp", str(port)],
    "aiosmtpd": lambda port: [sys.executable, "-m", "benchmarks.stock_smtp", str(port)],
    "smtp-sink": lambda port: [
        str(tools.find("smtp-sink")),
        *(("-u", "nobody") if os.geteuid() == 0 else ()),  # it insists
        *(f"127.0.0.1:{port}", "1024"),
    ],
}
"""Name and command of a server on a port."""


@dataclass(frozen=True)
class Variant:
    """One row: a server and a way to feed it."""

    program: str
    feed: Feed

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.program}, {self.feed.name}"


def run(variant: Variant, fixtures: Fixtures, bounds: Bounds) -> Result:
    """Start the server, feed it, stop it.

    Raises:
        BenchmarkError: a message was refused, or the server failed.
        MissingToolError: it is not installed.
    """
    port = free_port()
    command = SERVERS[variant.program](port)
    with (
        running(variant.name, command, fixtures.directory / "output", port) as program,
        Load(port, variant.feed, fixtures.bodies(0)) as load,
    ):
        time.sleep(bounds.warmup)
        begin = load.order("begin")
        first = reading(program.pid, 0, begin.cpu)
        bounds.wait(lambda: load.order("count").accepted - begin.accepted)
        end = load.order("end")
        last = reading(program.pid, 0, end.cpu)
        total = load.order("stop")
        return result(end.accepted - begin.accepted, first, last, program.pid, **total.latencies)
