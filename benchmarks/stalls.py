"""How long a worker's event loop does not turn while much goes on; one scenario after the other.

python -m benchmarks stalls              all of them; the longest stalls join the ratios
python -m benchmarks.stalls reload       some of them, by the beginnings of their names

In each, 20 connections send a few hundred messages a second beside. `probe` says how a stall is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks import whole_path
from benchmarks.fixtures import DOMAIN, RECIPIENT, WAITING, Fixtures, make_fixtures
from benchmarks.load import Feed, Load
from benchmarks.measure import BenchmarkError
from benchmarks.probe import Client, Stall, probing
from benchmarks.processes import free_port
from benchmarks.programs import READY, running
from tests.peers.servers import GoPeer
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.port import entry

BESIDE = Feed(20, rate=300)
"""What is sent all the time."""
LARGE = 10
"""Large messages that come in at a time."""
SIZE = 10_000_000
ROUNDS = 3
DOMAINS = 256
"""Domains of the PushDomain, the most that it may have, after every other reload."""
RELOADS = 6
APART = 1.5
"""Seconds between two reloads: one is seen within a second."""
FREEZES = 3
FROZEN = 2.0
"""Seconds for which the logger's disk stands still."""
QUEUED = 1_000_000
QUIET = 5.0
"""Seconds of what takes as long as one likes."""


@dataclass(frozen=True)
class Running:
    """A dispatcher that is measured."""

    port: int
    manifest: Path
    directory: Path


Work = Callable[[Running], None]
"""What is going on; runs in a process of its own."""


@dataclass(frozen=True)
class Scenario:
    """One figure.

    `work`: what goes on; `queue`: whether acceptance is Queued; `queued`: what is in the queue at the start;
    `slow_log`: the ApnLogger's file is on a file system of its own, that can be frozen.
    """

    name: str
    work: Work
    queue: bool = False
    queued: int = 0
    slow_log: bool = False


def idle(_running: Running) -> None:
    """What the machine itself does."""
    time.sleep(QUIET)


def large(program: Running) -> None:
    """Ten messages of 10 MB at a time: mail of several shapes, and an MCMT message."""
    mcmt = (
        b'Subject: x\r\nContent-Type: multipart/vnd.msys.mcmt; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + (b"=41" * 25 + b"=\r\n") * (SIZE // 78)
        + b"\r\n--b\r\nContent-Type: message/vnd.msys.apn\r\n\r\nX-Device-Token: "
        + b"ab" * 32
        + b'\r\n\r\n{"aps":{"alert":"x"}}\r\n--b--\r\n.\r\n'
    )
    bodies = (
        b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * (SIZE // 1000) + b".\r\n",
        b"Subject: x\r\n\r\n" + b"\n" * SIZE + b"\r\n.\r\n",
        b"Subject: x\r\n\r\n" + b"..\r\n" * (SIZE // 4) + b".\r\n",
        mcmt,
    )

    def send(content: bytes) -> None:
        with contextlib.suppress(OSError):  # mail is refused at its deadline: the relay never answers
            client = Client(program.port)
            client.send(RECIPIENT, content)
            client.close()

    for _ in range(ROUNDS):
        senders = [threading.Thread(target=send, args=(bodies[n % len(bodies)],)) for n in range(LARGE)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()


def reloads(program: Running, times: int = RELOADS) -> None:
    """One domain, many, each with options and pools of its own, and again."""
    documents = list(yaml.safe_load_all(program.manifest.read_text(encoding="utf-8")))
    for number in range(times):
        count = 1 if number % 2 else DOMAINS
        others = [
            {
                "name": f"domain{each}.example",
                "delivery": {"retryInterval": f"{each}s", "connectTimeout": f"{each}ms"},
            }
            for each in range(1, count)
        ]
        waiting = [one for one in documents[0]["spec"]["domains"] if one["name"] == WAITING.partition("@")[2]]
        spec = documents[0]["spec"] | {"domains": [*others[len(waiting) :], *waiting, {"name": DOMAIN}]}
        whole = program.manifest.with_suffix(".new")
        changed = [documents[0] | {"spec": spec}, *documents[1:]]
        whole.write_text(yaml.safe_dump_all(changed), encoding="utf-8")
        whole.replace(program.manifest)
        time.sleep(APART + count / 500)


def freeze(program: Running) -> None:
    """The logger's disk stands still for seconds, more than once."""
    log = str(program.directory / "log")
    for _ in range(FREEZES):
        _tool("fsfreeze", "--freeze", log)
        try:
            time.sleep(FROZEN)
        finally:
            _tool("fsfreeze", "--unfreeze", log)
        time.sleep(FROZEN / 2)


def full(program: Running) -> None:
    """It is queued all the time; and reloads."""
    time.sleep(QUIET)
    reloads(program, 2)


NOTHING = Scenario("nothing else", idle)
SCENARIOS = (
    NOTHING,
    Scenario("ten messages of 10 MB at once", large),
    Scenario(f"reloads, 1 <-> {DOMAINS:,} domains", reloads),
    Scenario("a logger's disk stands still", freeze, slow_log=True),
    Scenario("a million queued, and reloads", full, queue=True, queued=QUEUED),
)


def figures(
    fixtures: Fixtures,
    ours: str = whole_path.OURS,
    chosen: Sequence[Scenario] = SCENARIOS,
    run: Callable[[Scenario, Fixtures, str], Stall] | None = None,
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """All figures by name, and why there are none."""
    found, missing = {}, {}
    for scenario in chosen:
        try:
            stall = (run or measured)(scenario, fixtures, ours)
        except BenchmarkError as error:
            missing[scenario.name] = str(error).splitlines()[0]
            print(f"stalls: {scenario.name}: {error}", file=sys.stderr)
            continue
        found[scenario.name] = stall.as_dict()
        print(f"stalls: {said(scenario.name, stall.as_dict())}", file=sys.stderr)
    return found, missing


def said(name: str, stall: dict[str, float]) -> str:
    """A figure in a line."""
    return (
        f"{name}: {stall['ms']:.1f} ms (by the clock {stall['wall_ms']:.1f}, CPU {stall['cpu_ms']:.1f}, "
        f"99.9 % within {stall['p999_ms']:.1f}, {stall['trips']:.0f} round trips)"
    )


def measured(scenario: Scenario, fixtures: Fixtures, ours: str) -> Stall:
    """Run a scenario.

    Raises:
        BenchmarkError: it cannot be run here, or something failed in it.
    """
    with contextlib.ExitStack() as stack:
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="stalls-", dir=fixtures.directory))
        )
        sink = stack.enter_context(GoPeer("sink", fixtures.certificate, fixtures.key))
        relay = stack.enter_context(_relay())
        spec: dict[str, object] | None = {"disk": {}} if scenario.queue else None
        manifests = fixtures.manifests(sink.port, queue=spec, waiting=scenario.queued > 0)
        manifest = manifests / "bench.yaml"
        if scenario.slow_log:
            stack.enter_context(_file_system(scratch))
        _amend(manifest, relay, scratch / "log" / "tubepost.log" if scenario.slow_log else None)
        if scenario.queued:
            asyncio.run(_fill(partition_path(scratch / "queue", 0), scenario.queued))
        port, admin = free_port(), free_port()
        fill = {
            "bin": Path(sys.executable).parent,
            "port": port,
            "rest_port": free_port(),
            "workers": 1,
            "manifests": manifests,
            "queue": scratch / "queue",
        }
        command = ours.replace("--admin-port 0", f"--admin-port {admin}")
        command += whole_path.QUEUE if scenario.queue else ""
        words = [word.format_map(fill) for word in shlex.split(command)]
        stack.enter_context(running(scenario.name, words, scratch / "output", port))
        worker: int = _status(admin)["pid"]
        load = stack.enter_context(Load(port, BESIDE, fixtures.bodies(0)))
        load.order("begin")
        program = Running(port, manifest, scratch)
        # In a process of its own: the probe must not take this interpreter's lock for a stall.
        work = multiprocessing.get_context("spawn").Process(target=partial(scenario.work, program))
        work.start()
        with probing(port, worker) as trips:
            work.join()
            time.sleep(APART)
        counts = load.order("stop")
        if work.exitcode or not counts.accepted:
            raise BenchmarkError(f"{scenario.name}: it ended with {work.exitcode}")
        after = _status(admin)
        if after["pid"] != worker:
            raise BenchmarkError(f"{scenario.name}: the worker was replaced")
        if scenario.queued and after["queue"]["queued"] < scenario.queued:
            raise BenchmarkError(f"{scenario.name}: {after['queue']} is not what was queued")
        return Stall.of(trips)


def _status(admin: int) -> dict[str, Any]:
    """What the only worker says of itself."""
    end = time.monotonic() + READY
    while True:
        with contextlib.suppress(httpx.HTTPError):
            status: dict[str, Any] = httpx.get(f"http://127.0.0.1:{admin}/status", timeout=READY).json()
            if workers := [found for found in status["workers"] if found]:
                only: dict[str, Any] = workers[0]
                return only
        if time.monotonic() > end:
            raise BenchmarkError("no worker says that it serves")
        time.sleep(0.1)


def _amend(manifest: Path, relay_port: int, log: Path | None) -> None:
    documents = list(yaml.safe_load_all(manifest.read_text(encoding="utf-8")))
    spec = documents[0]["spec"]
    spec["passthru"] = {"host": "127.0.0.1", "port": relay_port, "tls": "None", "timeout": "5s"}
    spec["listener"]["limits"] |= {"maxMessageSize": "30Mi"}
    if log is not None:
        for document in documents:
            if document["kind"] == "ApnLogger":
                document["spec"]["sink"]["file"]["path"] = str(log)
    manifest.write_text(yaml.safe_dump_all(documents), encoding="utf-8")


@contextlib.contextmanager
def _relay() -> Iterator[int]:
    """A relay that says 354 and then neither reads nor answers."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=500)
    held: list[socket.socket] = []

    def converse(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(b"220 relay\r\n")
            while line := client.recv(4096):
                data = line.upper().startswith(b"DATA")
                client.sendall(b"354 go\r\n" if data else b"250 ok\r\n")
                if data:
                    return

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                held.append(client)
                threading.Thread(target=converse, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()
    for client in held:
        client.close()


@contextlib.contextmanager
def _file_system(scratch: Path) -> Iterator[None]:
    """A file system of its own at `log`, which can be frozen.

    Raises:
        BenchmarkError: that takes root, and a kernel with loop devices.
    """
    image, place = scratch / "log.img", scratch / "log"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    _tool("mkfs.ext4", "-q", str(image))
    _tool("mount", "-o", "loop", str(image), str(place))
    try:
        yield
    finally:
        _tool("umount", "--lazy", str(place))


def _tool(*command: str) -> None:
    program = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
    try:
        subprocess.run([program, *command[1:]], check=True, capture_output=True, text=True)
    except OSError as error:
        raise BenchmarkError(f"{command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"{command[0]}: {error.stderr.strip()}") from error


async def _fill(path: Path, number: int) -> None:
    """Put so many into a queue whose route cannot be reached."""
    store, loop = DiskStore(path), asyncio.get_running_loop()

    async def told(ask: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
        answer = loop.create_future()
        ask(*args, answer.set_result, **kwargs)
        return await answer

    if (failure := await told(store.start)) is not None:
        raise BenchmarkError(failure.text)
    now = time.time()
    part = PushPart(b"ab" * 32, b'{"aps":{"alert":"x"}}', topic=b"com.example.app", push_type=b"alert")
    for first in range(0, number, 2_000):
        batch = [
            Notification(
                part,
                b"00000000-0000-4000-8000-%012d" % each,
                f"{each:025x}",
                "alerts@sender.example",
                WAITING,
                WAITING.partition("@")[2],
                size=1_200,
                accepted_at=now,
            )
            for each in range(first, min(first + 2_000, number))
        ]
        await told(store.put, [entry(one, due=now, expires=now + 600_000) for one in batch], take=False)
    over = asyncio.Event()
    store.close(over.set)
    await over.wait()


def main() -> int:
    """Measure those whose names begin as the arguments do."""
    wanted = tuple(sys.argv[1:])
    chosen = [one for one in SCENARIOS if not wanted or one.name.startswith(wanted)]
    with tempfile.TemporaryDirectory(prefix="tubepost-stalls-") as scratch:
        _, missing = figures(make_fixtures(Path(scratch)), chosen=chosen)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
