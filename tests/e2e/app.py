"""The product as its users run it: `tubepost` commands as processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

TUBEPOST = str(Path(sys.executable).with_name("tubepost"))
START = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]


def tubepost(*arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [TUBEPOST, *arguments], capture_output=True, text=True, timeout=timeout, check=False, cwd=REPOSITORY
    )


def wait_until(condition: Callable[[], Any], timeout: float = 30.0) -> Any:
    """Poll until the condition holds; its value. Fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.05)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


class Command:
    """A `tubepost` command that goes on until it is told to end. `patterns` are found in what it announces."""

    patterns: ClassVar[dict[str, str]] = {}
    prefix: Sequence[str] = ()
    """A program that runs it, with its options; it must not be its parent."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.found: dict[str, str] = {}
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed at the end
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*self.prefix, TUBEPOST, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
        )
        end = time.monotonic() + START
        while len(self.found) < len(self.patterns):
            text = self.output()
            for name, pattern in self.patterns.items():
                match = re.search(pattern, text)
                if match:
                    self.found[name] = match[1]
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise AssertionError(f"{self.arguments} did not start:\n{text}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self.stop()
        self._output.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        return Path(self._output.name).read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 40.0) -> int:
        """Signal it and wait; its exit status."""
        assert self._process is not None
        os.kill(self._process.pid, number)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


def children(pid: int, name: str = "") -> list[int]:
    """The processes that a process has started; those of one name, if it is given."""
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [child for child in found if not name or Path(f"/proc/{child}/comm").read_text().strip() == name]


class Simulator(Command):
    patterns: ClassVar = {"port": r"https://127\.0\.0\.1:(\d+)", "api": r"API: +http://127\.0\.0\.1:(\d+)/"}

    def __init__(self, credentials: Path, *arguments: str) -> None:
        super().__init__(
            "simulator", "--port", "0", "--inbox-port", "0", "--credentials", str(credentials), *arguments
        )

    @property
    def port(self) -> int:
        return int(self.found["port"])

    def api(self, path: str) -> Any:
        return json.loads(get(f"http://127.0.0.1:{self.found['api']}/api/v1/{path}"))

    def notifications(self) -> list[dict[str, Any]]:
        return list(self.api("notifications?limit=100000")["notifications"])

    def chaos(self, **changes: Any) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.found['api']}/api/v1/chaos",
            data=json.dumps(changes).encode(),
            method="PATCH",
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


class Dispatcher(Command):
    patterns: ClassVar = {
        "port": r"SMTP +127\.0\.0\.1:(\d+)",
        "http": r"metrics +http://127\.0\.0\.1:(\d+)",
        "admin": r"status +http://127\.0\.0\.1:(\d+)",
    }

    def __init__(self, files: Sequence[Path], *arguments: str) -> None:
        named = [argument for file in files for argument in ("-f", str(file))]
        ports = ("--port", "0", "--http-port", "0", "--admin-port", "0")
        super().__init__("run", *named, *ports, *arguments)

    @property
    def port(self) -> int:
        return int(self.found["port"])

    def status(self) -> dict[str, Any]:
        return dict(json.loads(get(f"http://127.0.0.1:{self.found['admin']}/status")))

    def metrics(self) -> dict[str, float]:
        text = get(f"http://127.0.0.1:{self.found['http']}/metrics").decode()
        rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}
