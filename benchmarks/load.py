"""The load generator (`tests/peers/go/load`): a program by itself that says what it costs."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fixtures import RECIPIENT
from benchmarks.measure import BenchmarkError
from tests.peers import tools
from tests.peers.process import Process

IDLE = 1e-6
"""A rate at which no message is ever due: the connections stay and say nothing."""
PATIENCE = 60.0
"""Seconds within which it must answer an order."""


@dataclass(frozen=True)
class Feed:
    """How a server is fed.

    `connections` at a time; `pipelined`: MAIL, RCPT and DATA in one write (RFC 2920), which the server must
    offer, else each command waits for the reply to the one before; `per_connection`: messages after which a
    connection is closed and a new one opened, 0: none; `batch`: 0 by SMTP, else notifications in each request
    by HTTP; `rate`: messages per second, 0: as many as the server takes.
    """

    connections: int
    pipelined: bool = False
    per_connection: int = 0
    batch: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        """In the name of a row."""
        if self.batch:
            return f"{self.connections} REST{f', {self.batch} in each' if self.batch > 1 else ''}"
        each = {0: "", 1: ", a message each"}.get(
            self.per_connection, f", {self.per_connection} messages each"
        )
        return f"{self.connections} {'pipelined' if self.pipelined else 'by command'}{each}"


@dataclass(frozen=True)
class Counts:
    """What it has counted so far: messages taken, others by reply code, its CPU seconds."""

    accepted: int
    cpu: float
    late: int = 0
    """Messages that are due and wait for a free connection."""
    refused: dict[str, int] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    latencies: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, told: dict[str, Any]) -> Counts:
        """From the line that it printed.

        Raises:
            BenchmarkError: a message was refused, or the server did what no figure stands for.
        """
        if told["refused"] or told["fault"]:
            raise BenchmarkError(
                told["fault"] or f"messages were refused: {told['refused']} {told['samples']}"
            )
        names = {"p50": "p50", "p99": "p99", "max": "longest"}
        latencies = {ours: told[theirs] for theirs, ours in names.items() if theirs in told}
        return cls(told["accepted"], told["cpu"], told["late"], latencies=latencies)


class Load(Process):
    """A running generator; gone with the `with` block. Its connections take the ports in turn."""

    def __init__(
        self, ports: int | Sequence[int], feed: Feed, bodies: Path, recipient: str = RECIPIENT
    ) -> None:
        self.feed = feed
        listed = ",".join(map(str, [ports] if isinstance(ports, int) else ports))
        super().__init__(
            [
                str(tools.require("load")),
                *(f"-ports={listed}", f"-connections={feed.connections}", f"-bodies={bodies}"),
                *(f"-per-connection={feed.per_connection}", f"-rate={feed.rate}", f"-recipient={recipient}"),
                *(["-pipelined"] if feed.pipelined else []),
                *(["-rest", f"-batch={feed.batch}"] if feed.batch else []),
            ]
        )

    def ready(self) -> None:
        """Wait until every connection is open."""
        self.first_line()

    def order(self, word: str) -> Counts:
        """Give an order (`begin`, `count`, `end`, `stop`) and return what it counted.

        Raises:
            BenchmarkError: as `Counts.read`, or it did not answer.
        """
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{word}\n".encode())
            process.stdin.flush()
        except BrokenPipeError:
            raise BenchmarkError(str(self.failure("ended"))) from None
        deadline, line = time.monotonic() + PATIENCE, b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = process.stdout.readline() if readable else b""
            if not more:
                raise BenchmarkError(str(self.failure(f"did not answer {word!r}")))
            line += more
        return Counts.read(json.loads(line))
