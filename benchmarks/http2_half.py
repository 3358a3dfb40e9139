"""The HTTP/2 half alone: requests as fast as the sink answers them, by our pool and by others' clients.

A sender is a process of its own (`peers/`); what it does is measured from outside: by the sink's count and by
/proc. h2load, which is no client of APNs but says what one connection can carry, is the ceiling.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixtures import KEY_ID, TEAM_ID, TOPIC, Fixtures
from benchmarks.measure import BenchmarkError, Bounds, Result, reading, result, until
from benchmarks.peers import builds
from benchmarks.peers.python.contract import PAYLOAD
from tests.peers import tools
from tests.peers.servers import GoPeer

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0
"""Seconds for a sender's first answer, a long warm-up, or its end."""


@dataclass(frozen=True)
class Sender:
    """A sender: its command without flags, and how many requests it has in flight."""

    command: Callable[[], list[str]]
    in_flight: int = 1_000
    warmup: int = 0
    """Requests before the window, beside its time."""
    window: int = 0
    """Requests in the window, from the very first on; 0: as bounds say."""


def _ours(module: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"benchmarks.peers.python.{module}"]


def _python(module: str) -> Callable[[], list[str]]:
    return lambda: [f"{builds.built('python')}/bin/python", "-m", f"benchmarks.peers.python.{module}"]


def _java() -> list[str]:
    home = builds.built("java")
    return ["java", "-cp", f"{home}/classes:{home}/lib/*", "Send"]


SENDERS = {
    "tubepost's pool": Sender(_ours("send_tubepost")),
    "Go apns2": Sender(lambda: [f"{builds.built('go')}/send"]),
    "Rust a2": Sender(lambda: [f"{builds.built('rust')}/send"]),
    "Java Pushy, hot": Sender(_java, warmup=300_000),
    "Java Pushy, cold": Sender(_java, window=50_000),
    "pyreqwest": Sender(_python("send_pyreqwest")),
    "node-apn": Sender(lambda: ["node", f"{builds.built('node')}/send.js"]),
    "aioapns": Sender(_python("send_aioapns")),
    "httpx": Sender(_ours("send_httpx"), 200),
    "h2load": Sender(lambda: [str(tools.find("h2load"))]),
}
CEILING = "h2load"


def run(name: str, fixtures: Fixtures, bounds: Bounds) -> Result:
    """Start a sink and the sender, and measure it.

    Raises:
        BenchmarkError: a request failed, or was lost or sent twice.
        BuildError, MissingToolError: the sender is not there.
    """
    sender = SENDERS[name]
    command = sender.command()
    payload = fixtures.directory / "payload"
    payload.write_bytes(PAYLOAD)
    with GoPeer("sink", fixtures.certificate, fixtures.key) as sink:

        def count() -> int:
            answered: int = sink.get("/count")["answered"]
            return answered

        flags = _ceiling(sink, payload) if name == CEILING else _flags(sink, fixtures, sender, payload)
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
        with _started(name, [*command, *flags], environment) as process:

            def ended() -> bool:
                if process.poll() is not None:
                    raise BenchmarkError(f"ended with status {process.returncode} before its time")
                return False

            if not sender.window:
                until(PATIENCE, lambda: ended() or count() > 0)
                until(bounds.warmup, ended)
                if sender.warmup:
                    until(PATIENCE, lambda: ended() or count() >= sender.warmup)
            before, first = count(), reading(process.pid, sink.pid)
            if sender.window:
                until(PATIENCE, lambda: ended() or count() >= min(sender.window, bounds.messages))
            else:
                bounds.wait(lambda: count() - before)
            after, last = count(), reading(process.pid, sink.pid)
            found = result(after - before, first, last, process.pid)
            if name == CEILING:
                process.terminate()
                process.communicate(timeout=PATIENCE)
                return found
            output, _ = process.communicate(timeout=PATIENCE)
            if process.returncode:
                raise BenchmarkError(f"ended with status {process.returncode}")
        seen = sink.get("/stats")
    total = json.loads(output)["total"]
    if seen["distinct"] != total or seen["duplicates"]:
        raise BenchmarkError(f"{name}: {total} requests were answered, the sink saw {seen['distinct']}")
    return found


@contextmanager
def _started(name: str, command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    try:
        yield process
    except BenchmarkError as error:
        process.kill()
        said = process.communicate()
        raise BenchmarkError(f"{name}: {error}\n{(said[1] or said[0])[-2000:]}") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _flags(sink: GoPeer, fixtures: Fixtures, sender: Sender, payload: Path) -> list[str]:
    return [
        *("--port", str(sink.port), "--ca", str(fixtures.ca), "--key", str(fixtures.token_key)),
        *("--key-id", KEY_ID, "--team-id", TEAM_ID, "--topic", TOPIC),
        *("--in-flight", str(sender.in_flight), "--payload", str(payload)),
    ]


def _ceiling(sink: GoPeer, payload: Path) -> list[str]:
    headers = {
        "authorization": f"bearer {'x' * 180}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-id": "11111111-2222-3333-4444-555555555555",
    }
    return [
        *("-c", "1", "-t", "1", "-m", "1000", "-n", "100000000", "-d", str(payload)),
        *(word for header, value in headers.items() for word in ("-H", f"{header}: {value}")),
        f"https://localhost:{sink.port}/3/device/{'0' * 64}",
    ]
