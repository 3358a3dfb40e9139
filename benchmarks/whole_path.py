"""The whole path: SMTP in, MCMT parsed, HTTP/2 out, log line, metric, 250 out."""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import compiled
from benchmarks.fixtures import KEY_ID, TEAM_ID, TOPIC, WAITING, Fixtures
from benchmarks.load import IDLE, Feed, Load
from benchmarks.measure import BenchmarkError, Bounds, Result, reading, result
from benchmarks.processes import free_port
from benchmarks.programs import READY, running
from tests.peers import tools
from tests.peers.nats_server import NatsServer
from tests.peers.servers import GoPeer

OURS = (
    "{bin}/tubepost run -f {manifests} --port {port} --rest-port {rest_port} --http-port 0 --admin-port 0 "
    "--workers {workers}"
)
"""The command of the dispatcher; names in braces are filled in."""
QUEUE = " --queue-dir {queue}"
"""What the command has beside that for acceptance Queued."""

NAIVE = (
    "{python} -m benchmarks.naive --port {port} --sink {sink} --ca {ca} --key {key} --key-id {key_id} "
    "--team-id {team_id} --topic {topic} --log {log}"
)
MOST_DOMAINS = 256
"""That a PushDomain may have."""
FILLED = 1 / 500
"""Seconds for each message that shall wait within which all must be queued."""
COMMANDS = {"naive": NAIVE, "tubepost": OURS, "queued": OURS + QUEUE, "queued on JetStream": OURS}
"""Programs of this suite: `tubepost` has acceptance Direct; `queued` has Queued with its queue on disk, or
with a stream of one NATS server as it comes: it syncs every two minutes, and its CPU is not counted."""


@dataclass(frozen=True)
class Variant:
    """One row of the table: a program and a way to feed it."""

    program: str
    feed: Feed
    workers: int = 1
    """Of ours, as what follows."""
    dispatchers: int = 1
    """Each with so many workers and ports of its own; for a queue that they share."""
    entries: int = 1
    """Domains of the PushDomain; of its compiled document where they are more than it may have."""
    idle: int = 0
    """Sessions beside, that say nothing."""
    waiting: int = 0
    """Messages that wait in the queue for a route that cannot be reached."""
    before: Path | None = None
    """Another checkout of ours, with its .venv, to compare with."""
    compiled: bool = False
    """Ours with compiled modules."""

    @property
    def name(self) -> str:
        """The row's name."""
        parts = [
            self.program + " compiled" * self.compiled,
            self.feed.name,
            f"{self.workers} workers" if self.workers > 1 else "",
            f"{self.dispatchers} dispatchers" if self.dispatchers > 1 else "",
            f"{self.entries:,} domains" if self.entries > 1 else "",
            f"{self.idle:,} idle beside" if self.idle else "",
            f"{self.waiting:,} waiting" if self.waiting else "",
            "before" if self.before else "",
        ]
        return ", ".join(filter(None, parts)) + (" at half of that rate" if self.feed.rate else "")

    def at(self, rate: float) -> Variant:
        """The same at a rate."""
        return replace(self, feed=replace(self.feed, rate=rate))


def together(commands: Sequence[Sequence[str]]) -> list[str]:
    """A command that is all of them, side by side: what they use is its own, and SIGTERM ends all."""
    if len(commands) == 1:
        return list(commands[0])
    each = " ".join(f'{shlex.join(command)} & all="$all $!";' for command in commands)
    return ["sh", "-c", f"trap 'kill $all; wait' TERM; all=; {each} wait"]


def in_pod(ours: str) -> str:
    """The command as a pod has it: with a compiled document and Secrets in the place of manifests."""
    return ours.replace("-f {manifests}", "--config {mounted}/config --secrets {mounted}/secrets")


def run(
    variant: Variant,
    commands: Mapping[str, str],
    fixtures: Fixtures,
    bounds: Bounds,
    greeted: Callable[[int], None] = lambda _pid: None,
    delay: float = 0.0,
) -> Result:
    """Start a sink and the program, feed it, stop both; `greeted` gets its pid before the load begins.

    `delay`: seconds that the sink takes for an answer.

    Raises:
        BenchmarkError: a message was refused, lost or delivered twice, or the program failed.
        BuildError: its modules cannot be compiled here.
    """
    environment = compiled.environment(fixtures.directory) if variant.compiled else {}
    with (
        GoPeer("sink", fixtures.certificate, fixtures.key, delay=f"{delay}s") as sink,
        tempfile.TemporaryDirectory(prefix="queue-", dir=fixtures.directory) as queue,
        _queue(variant.program, Path(queue)) as queue_spec,
    ):
        ports, rest_ports = ([free_port() for _ in range(variant.dispatchers)] for _ in "ab")
        manifests = fixtures.manifests(
            sink.port,
            queue=queue_spec,
            workers=variant.workers,
            entries=min(variant.entries, MOST_DOMAINS),
            waiting=variant.waiting > 0,
        )
        fill = {
            "python": sys.executable,
            "bin": variant.before / ".venv" / "bin" if variant.before else Path(sys.executable).parent,
            "workers": variant.workers,
            "sink": f"https://localhost:{sink.port}",
            "ca": fixtures.ca,
            "key": fixtures.token_key,
            "key_id": KEY_ID,
            "team_id": TEAM_ID,
            "topic": TOPIC,
            "log": fixtures.directory / "naive.log",
            "manifests": manifests,
            "mounted": fixtures.mount(manifests, variant.entries),
            "queue": queue,
        }
        command_line = commands[variant.program]
        if variant.entries > MOST_DOMAINS:
            command_line = in_pod(command_line)
        commands_of = [
            [
                part.format_map({**fill, "port": port, "rest_port": rest_port})
                for part in shlex.split(command_line)
            ]
            for port, rest_port in zip(ports, rest_ports, strict=True)
        ]
        into = rest_ports if variant.feed.batch else ports
        output = fixtures.directory / "output"
        with running(variant.name, together(commands_of), output, *ports, environment=environment) as program:
            greeted(program.pid)
            with _beside(variant, ports, fixtures):
                found, accepted = _measure(program.pid, sink, into, variant.feed, fixtures, bounds)
        seen = sink.get("/stats")
        if seen["distinct"] != accepted or seen["duplicates"]:
            raise BenchmarkError(
                f"{variant.name}: {accepted} messages got 250, the sink saw {seen['distinct']}, "
                f"{len(seen['duplicates'])} of them more than once"
            )
        return found


@contextmanager
def _queue(program: str, directory: Path) -> Iterator[dict[str, object] | None]:
    """The `spec.queue` that the program needs, with the server that it names."""
    if program == "queued on JetStream":
        tools.find("nats-server")
        with NatsServer(directory / "nats") as server:
            yield {"jetStream": {"servers": [server.url], "replicas": 1}}
    else:
        yield {"disk": {}} if program == "queued" else None


@contextmanager
def _beside(variant: Variant, ports: Sequence[int], fixtures: Fixtures) -> Iterator[None]:
    """Let messages wait and sessions be idle."""
    if variant.waiting:
        with Load(ports, Feed(50, pipelined=True), fixtures.bodies(0), WAITING) as load:
            limit = max(300.0, variant.waiting * FILLED)
            end = time.monotonic() + limit
            while load.order("count").accepted < variant.waiting and time.monotonic() < end:
                time.sleep(0.1)
            if load.order("stop").accepted < variant.waiting:
                raise BenchmarkError(f"{variant.waiting} messages were not queued within {limit:.0f} s")
    if not variant.idle:
        yield
        return
    with Load(ports, Feed(variant.idle, rate=IDLE), fixtures.bodies(0)):
        yield


def _measure(
    program: int, sink: GoPeer, ports: Sequence[int], feed: Feed, fixtures: Fixtures, bounds: Bounds
) -> tuple[Result, int]:
    """The run, and all messages that were accepted."""
    with Load(ports, feed, fixtures.bodies(feed.batch)) as load:
        time.sleep(bounds.warmup)
        begin = load.order("begin")
        arrived, first = sink.get("/count")["answered"], reading(program, sink.pid, begin.cpu)
        bounds.wait(lambda: load.order("count").accepted - begin.accepted)
        end = load.order("end")
        gone, last = sink.get("/count")["answered"], reading(program, sink.pid, end.cpu)
        total = load.order("stop")
    # A queue's work is done when a message is out: whichever is less, so that no debt looks like speed.
    messages = min(end.accepted - begin.accepted, gone - arrived)
    if feed.rate and end.late > feed.rate:
        raise BenchmarkError(f"{end.late} messages had to wait for a connection at {feed.rate:.0f}/s")
    _arrived(sink, total.accepted)
    return result(messages, first, last, program, **total.latencies), total.accepted


def _arrived(sink: GoPeer, messages: int) -> None:
    """Wait until a queue is empty: what it had when it is stopped it would keep."""
    end = time.monotonic() + READY
    while sink.get("/count")["answered"] < messages and time.monotonic() < end:
        time.sleep(0.05)
