"""Start a peer, learn its port, stop it: by its own pid, and in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

START = 60.0
"""Seconds within which a peer must listen."""
STOP = 5.0
"""Seconds that a peer gets to end by itself."""


class PeerError(RuntimeError):
    """A peer did not start, or ended before its time; the text holds what it wrote to standard error."""


class Process:
    """A child process, ended with the `with` block. `port` is where it listens on loopback."""

    port = 0

    def __init__(self, arguments: Sequence[str], **options: Any) -> None:
        self.arguments = list(arguments)
        self._options = options
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            **self._options,
        )
        try:
            self.ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def ready(self) -> None:
        """Wait until the peer listens, and set `port`.

        Raises:
            PeerError: it ended, or took longer than START.
        """
        raise NotImplementedError

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def failure(self, why: str) -> PeerError:
        """An error that says why and what the process wrote to standard error."""
        self._stderr.seek(0)
        written = self._stderr.read()[-4000:].decode(errors="replace").strip()
        return PeerError(f"{Path(self.arguments[0]).name} {why}\n{written}")

    def first_line(self) -> str:
        """The first line of standard output, within START.

        Raises:
            PeerError: there was none.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        stdout = self._process.stdout.fileno()
        text, deadline = b"", time.monotonic() + START
        while b"\n" not in text:
            readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(stdout, 4096) if readable else b""
            if not more:
                raise self.failure("ended before it listened" if readable else "did not listen in time")
            text += more
        return text.split(b"\n", 1)[0].decode()

    def listening(self) -> int:
        """The port that the process has opened by itself on loopback, read from /proc, within START.

        Raises:
            PeerError: it ended, or opened none.
        """
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if self.ended():
                raise self.failure("ended before it listened")
            if port := _listening_port(self.pid):
                return port
            time.sleep(0.01)  # nothing announces another process's listen()
        raise self.failure("did not listen in time")

    def stop(self) -> None:
        """End the process: standard input closed, SIGTERM, after STOP seconds SIGKILL."""
        process = self._process
        if process is None:
            return
        self._process = None
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP)
        self._stderr.close()


class ControlledProcess(Process):
    """One of our Go peers: it prints its ports, and serves a control API."""

    control = 0

    def ready(self) -> None:
        """Read the ports that the peer prints."""
        ports = json.loads(self.first_line())
        self.port, self.control = ports["port"], ports["control"]

    def get(self, path: str, body: object = None, method: str | None = None) -> Any:
        """Call the control API and return its JSON. Blocks; `call` is for tests on an event loop."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control}{path}", data=data, method=method or ("POST" if data else "GET")
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    async def call(self, path: str, body: object = None, method: str | None = None) -> Any:
        """`get` in a thread."""
        return await asyncio.to_thread(self.get, path, body, method)

    async def stats(self) -> dict[str, Any]:
        """What the peer counted: answered, distinct, duplicates, seen, statuses, connections."""
        result: dict[str, Any] = await self.call("/stats")
        return result

    async def stats_when(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """`stats` once they are as wanted: the peer may notice later than we what has happened.

        Raises:
            TimeoutError: they were not within START.
        """
        async with asyncio.timeout(START):
            while not true(found := await self.stats()):  # noqa: ASYNC110 - another process has no Event
                await asyncio.sleep(0.01)
        return found


def _listening_port(pid: int) -> int:
    inodes = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(link.readlink()))
        rows = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return 0
    for row in rows:
        fields = row.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:  # state LISTEN
            return int(fields[1].split(":")[1], 16)
    return 0
