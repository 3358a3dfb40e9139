"""`python -m benchmarks.stalls`: how long a worker's event loop does not turn while much goes on.

One session says RSET all the time; the longest round trip is taken for the stall. Once with nothing else
going on (what this machine itself does), and once while twenty messages of 20 MB come in at a time, the
configuration changes again and again between one domain and 256, nobody reads standard error, and the relay
takes mail and never answers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.fixtures import DOMAIN, make_fixtures, messages
from benchmarks.processes import free_port
from tests.peers.servers import GoPeer

LARGE = 20
"""Large messages that come in at a time."""
SIZE = 20_000_000
DOMAINS = 256
"""Domains of the PushDomain, the most that it may have, after every other reload."""
SECONDS = 20.0
"""How long either phase lasts at most."""
PAUSE = 0.002
"""Seconds between two probes."""


class Client:
    """A plain SMTP client on a blocking socket."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.reply()
        self.command(b"EHLO bench.example")

    def reply(self) -> bytes:
        while (line := self._file.readline())[3:4] == b"-":
            pass
        return line

    def command(self, line: bytes) -> bytes:
        self._socket.sendall(line + b"\r\n")
        return self.reply()

    def send(self, content: bytes) -> bytes:
        self.command(b"MAIL FROM:<alerts@sender.example>")
        self.command(b"RCPT TO:<subscriber@" + DOMAIN.encode() + b">")
        self.command(b"DATA")
        self._socket.sendall(content)
        return self.reply()

    def close(self) -> None:
        self._socket.close()


@dataclass
class Probe:
    """Round trips of one session, in seconds."""

    client: Client
    times: list[float] = field(default_factory=list)

    def run(self, until: threading.Event) -> None:
        while not until.is_set():
            begun = time.perf_counter()
            self.client.command(b"RSET")
            self.times.append(time.perf_counter() - begun)
            time.sleep(PAUSE)


def main() -> int:
    """Measure both phases, and print a line for each."""
    with tempfile.TemporaryDirectory(prefix="tubepost-stalls-") as scratch:
        directory = Path(scratch)
        fixtures = make_fixtures(directory)
        with _relay() as relay_port, GoPeer("sink", fixtures.certificate, fixtures.key) as sink:
            manifests = fixtures.manifests(sink.port)
            _amend(manifests / "bench.yaml", relay_port)
            port = free_port()
            with _dispatcher(manifests, port):
                _report("nothing else", _phase(port, None))
                _report("all at once", _phase(port, manifests))
    return 0


def _phase(port: int, manifests: Path | None) -> list[float]:
    probe, over = Probe(Client(port)), threading.Event()
    watching = threading.Thread(target=probe.run, args=(over,))
    watching.start()
    if manifests is None:
        time.sleep(SECONDS / 4)
    else:
        # In a process of its own: the probe must not take this interpreter's lock for a stall.
        load = multiprocessing.get_context("spawn").Process(target=_load, args=(port, manifests))
        load.start()
        load.join()
    over.set()
    watching.join()
    probe.client.close()
    return probe.times


def _load(port: int, manifests: Path) -> None:
    """Large mail of several shapes, small messages with warnings, reloads: at the same time."""
    bodies = (
        b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * (SIZE // 1000) + b".\r\n",
        b"Subject: x\r\n\r\n" + b"\n" * SIZE + b"\r\n.\r\n",
        b"Subject: x\r\n\r\n" + b"..\r\n" * (SIZE // 4) + b".\r\n",
    )
    end = time.monotonic() + SECONDS
    threads = [
        threading.Thread(target=_send_until, args=(port, bodies[number % len(bodies)], end))
        for number in range(LARGE)
    ]
    odd = messages()[0].replace(b'"app-key" : "bar"', b'"app-key" : "bar",')
    threads.append(threading.Thread(target=_send_until, args=(port, odd, end)))
    for thread in threads:
        thread.start()
    many = True
    while time.monotonic() < end:
        _reload(manifests / "bench.yaml", DOMAINS if many else 1)
        many = not many
        time.sleep(1.5)
    for thread in threads:
        thread.join(90)


def _reload(manifest: Path, domains: int) -> None:
    """Give the PushDomain so many domains, those in use among them, and every one options of its own."""
    documents = list(yaml.safe_load_all(manifest.read_text(encoding="utf-8")))
    others = [
        {"name": f"domain{number}.example", "delivery": {"retryInterval": f"{number}s"}}
        for number in range(1, domains)
    ]
    documents[0]["spec"]["domains"] = [*others, {"name": DOMAIN}]
    whole = manifest.with_suffix(".new")
    whole.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    whole.replace(manifest)


def _send_until(port: int, content: bytes, end: float) -> None:
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            client = Client(port)
            client.send(content)
            client.close()


def _amend(manifest: Path, relay_port: int) -> None:
    documents = list(yaml.safe_load_all(manifest.read_text()))
    spec = documents[0]["spec"]
    spec["passthru"] = {"host": "127.0.0.1", "port": relay_port, "tls": "None", "timeout": "5s"}
    spec["listener"]["limits"] = {"maxMessageSize": "30Mi"}
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
def _dispatcher(manifests: Path, port: int) -> Iterator[None]:
    """One worker; what it writes to standard error fills a pipe that nobody reads."""
    reading, writing = os.pipe()
    program = shutil.which("tubepost", path=str(Path(sys.executable).parent)) or "tubepost"
    command = [program, "run", "-f", str(manifests), "--port", str(port), "--workers", "1"]
    command += ["--http-port", "0", "--admin-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writing)
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"the dispatcher does not serve: {os.read(reading, 65_536).decode()}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(reading)
        os.close(writing)


def _report(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    late = ordered[int(len(ordered) * 0.999)]
    print(
        f"{name}: longest {ordered[-1] * 1e3:.1f} ms, 99.9 % within {late * 1e3:.1f} ms, "
        f"median {ordered[len(ordered) // 2] * 1e3:.2f} ms, {len(ordered)} probes"
    )


if __name__ == "__main__":
    sys.exit(main())
