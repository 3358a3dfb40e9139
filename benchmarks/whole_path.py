"""The whole path: SMTP in, MCMT parsed, HTTP/2 out, log line, metric, 250 out."""

from __future__ import annotations

import asyncio
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.fixtures import KEY_ID, TEAM_ID, TOPIC, Fixtures
from benchmarks.load import Load, LoadError
from benchmarks.processes import free_port, usage
from benchmarks.rest_load import RestLoad
from tests.peers.servers import GoPeer

OURS = (
    "{bin}/tubepost run -f {manifests} --port {port} --rest-port {rest_port} --http-port 0 --admin-port 0 "
    "--workers 1"
)
"""The command of the dispatcher; names in braces are filled in."""
QUEUE = " --queue-dir {queue}"
"""What the command has beside that for acceptance Queued."""
NAIVE = (
    "{python} -m benchmarks.naive --port {port} --sink {sink} --ca {ca} --key {key} --key-id {key_id} "
    "--team-id {team_id} --topic {topic} --log {log}"
)
READY = 30.0
"""Seconds within which the program under test must greet."""


@dataclass(frozen=True)
class Variant:
    """One row of the table: a program and a way to feed it."""

    program: str
    """`naive`; `tubepost`, with acceptance Direct; `queued`, that is Tubepost with acceptance Queued."""
    connections: int
    pipelined: bool
    batch: int = 0
    """0: by SMTP; else by requests of so many notifications."""

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.program}, {self.load}"

    @property
    def load(self) -> str:
        """How it is fed."""
        if self.batch:
            return f"{self.connections} REST{f', {self.batch} in each' if self.batch > 1 else ''}"
        return f"{self.connections} {'pipelined' if self.pipelined else 'by command'}"


@dataclass(frozen=True)
class Result:
    """One run: messages in the window, its seconds, CPU seconds of the process tree, resident bytes."""

    messages: int
    seconds: float
    cpu: float
    memory: int

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
    messages: int = 200_000

    async def window(self, count: Callable[[], int]) -> None:
        """Return when the window is over: after its time, or when `count()` has reached the most."""
        end = time.perf_counter() + self.seconds
        while (left := end - time.perf_counter()) > 0 and count() < self.messages:  # noqa: ASYNC110 - a clock
            await asyncio.sleep(min(0.05, left))


def run(
    variant: Variant,
    commands: dict[str, str],
    fixtures: Fixtures,
    bounds: Bounds,
    greeted: Callable[[int], None] = lambda _pid: None,
) -> Result:
    """Start a sink and the program, feed it, stop both; `greeted` gets its pid before the load begins.

    Raises:
        LoadError: a message was refused, lost or delivered twice, or the program failed.
    """
    with (
        GoPeer("sink", fixtures.certificate, fixtures.key) as sink,
        tempfile.TemporaryDirectory(prefix="queue-", dir=fixtures.directory) as queue,
    ):
        port, rest_port = free_port(), free_port()
        command = shlex.split(commands[variant.program])
        fill = {
            "python": sys.executable,
            "bin": Path(sys.executable).parent,
            "port": port,
            "rest_port": rest_port,
            "sink": f"https://localhost:{sink.port}",
            "ca": fixtures.ca,
            "key": fixtures.token_key,
            "key_id": KEY_ID,
            "team_id": TEAM_ID,
            "topic": TOPIC,
            "log": fixtures.directory / "naive.log",
            "manifests": fixtures.manifests(sink.port, queued=variant.program == "queued"),
            "queue": queue,
        }
        output = fixtures.directory / "output"
        with output.open("wb") as written:
            program = subprocess.Popen(
                [part.format_map(fill) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        try:
            if variant.batch:
                load: Load = RestLoad(rest_port, variant.connections, variant.batch)
            else:
                load = Load(port, variant.connections, pipelined=variant.pipelined)
            result = uvloop.run(_measure(program, port, load, bounds, greeted))
            _arrived(sink, load.accepted)
        except (LoadError, OSError) as error:
            said = output.read_text(errors="replace")[-3000:]
            raise LoadError(f"{variant.name}: {error}\n{said}") from error
        finally:
            _stop(program)
        seen = sink.get("/stats")
        if seen["distinct"] != load.accepted or seen["duplicates"]:
            raise LoadError(
                f"{variant.name}: {load.accepted} messages got 250, the sink saw {seen['distinct']}, "
                f"{len(seen['duplicates'])} of them more than once"
            )
        return result


async def _measure(
    program: subprocess.Popen[bytes],
    port: int,
    load: Load,
    bounds: Bounds,
    greeted: Callable[[int], None],
) -> Result:
    await _greeting(program, port)
    greeted(program.pid)
    try:
        return await _window(program, load, bounds)
    finally:
        load.abort()
        await asyncio.sleep(0)  # transports close on the loop's next turn


async def _window(program: subprocess.Popen[bytes], load: Load, bounds: Bounds) -> Result:
    await load.start()
    await asyncio.sleep(bounds.warmup)
    load.check()
    first, before, start = load.accepted, usage(program.pid), time.perf_counter()
    await bounds.window(lambda: load.accepted - first)
    messages, after, seconds = load.accepted - first, usage(program.pid), time.perf_counter() - start
    await load.stop()
    if not messages:
        raise LoadError("no message was accepted in the window")
    return Result(messages, seconds, after.cpu - before.cpu, after.memory)


async def _greeting(program: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        if program.poll() is not None:
            raise LoadError(f"the program ended with status {program.returncode}")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        line = await asyncio.wait_for(reader.readline(), READY)
        writer.write(b"QUIT\r\n")
        await reader.read()
        writer.close()
        if not line.startswith(b"220"):
            raise LoadError(f"the program greets with {line!r}")
        return
    raise LoadError(f"the program did not listen within {READY} s")


def _arrived(sink: GoPeer, messages: int) -> None:
    """Wait until a queue is empty: what it had when it is stopped it would keep."""
    end = time.monotonic() + READY
    while sink.get("/stats")["distinct"] < messages and time.monotonic() < end:
        time.sleep(0.05)


def _stop(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is not None:
        return
    program.send_signal(signal.SIGTERM)
    try:
        program.wait(10)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait(10)
