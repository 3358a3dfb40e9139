"""Hooks that do what hooks must not, at 50 messages a second: everybody else is served as ever.

`-s` prints how long answers took, the longest time that the worker's event loop did not turn, and its memory.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import smtplib
import socket
import statistics
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.app import Dispatcher, wait_until
from tests.support.mcmt import message, part

pytestmark = [pytest.mark.xdist_group("policy"), pytest.mark.timeout(240)]

SECONDS = 2.0
RATE = 50
"""Messages a second, of all senders together."""
EVIL = 3
"""Of these, messages that their hook does harm for."""
SENDERS = 5

KINDS = {
    "loops for ever": "while True: pass",
    "sleeps": "time.sleep(60)",
    "allocates without end": "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "raises": "raise ValueError('no')",
    "calls sys.exit": "sys.exit(1)",
    "calls os._exit": "os._exit(1)",
    "kills itself": "signal.raise_signal(signal.SIGKILL)",
    "ignores signals": "signal.signal(signal.SIGABRT, signal.SIG_IGN)\nwhile True: pass",
    "recurses": "sys.setrecursionlimit(10**9)\nclass A:\n    def __getattr__(a, n): return getattr(a, n)\nA().x",
    "forks": "import ctypes\nlibc = ctypes.CDLL(None)\nfor _ in range(20): libc.fork() or time.sleep(600)",
    "starts a process": "import subprocess; subprocess.run(['sleep', '600'])",
    "closes its descriptors": "os.closerange(0, 64)",
    "changes builtins": "import builtins; builtins.len = builtins.isinstance = None",
    "returns rubbish": "return object()",
    "sets rubbish": "request.priority = 10**400",
    "prints megabytes": "print('x' * 5_000_000)\nfor _ in range(200): print('y' * 1_000)",
}
HARMLESS = frozenset({"prints megabytes"})


def documents(source: str, acceptance: dict[str, Any]) -> str:
    api = "tubepost.io/v1alpha1"
    spec = {
        "domains": [{"name": "apn_example.com"}],
        "routes": ["apns"],
        "workers": 1,
        "policy": {"configMapName": "hooks", "timeout": "250ms", "memory": "64Mi"},
        **acceptance,
    }
    route = {
        "environment": "Production",
        "topic": "com.example.app",
        "certificate": {"secretName": "apns-certificate"},
    }
    return yaml.safe_dump_all(
        [
            {"apiVersion": api, "kind": "PushDomain", "metadata": {"name": "alerts"}, "spec": spec},
            {"apiVersion": api, "kind": "ApnRoute", "metadata": {"name": "apns"}, "spec": route},
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "hooks"},
                "data": {"policy.py": source},
            },
        ]
    )


def module(body: str) -> str:
    return (
        "import os, signal, sys, time\n\n"
        "def apn_request_eval(request, message):\n"
        '    if message.sender == "evil@sender.example":\n'
        "        return evil(request)\n\n"
        "def evil(request):\n" + textwrap.indent(body, "    ") + "\n"
    )


class Sender(threading.Thread):
    """Sends at a steady rate in a session of its own."""

    def __init__(self, port: int, sender: str, rate: float, until: float) -> None:
        super().__init__(daemon=True)
        self.port, self.sender, self.rate, self.until = port, sender, rate, until
        self.replies: list[tuple[int, str]] = []
        self.seconds: list[float] = []

    def run(self) -> None:
        payload = json.dumps({"aps": {"alert": "x"}}).encode()
        content = message(part(payload, token=b"ab" * 32))
        begun = time.monotonic()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo()
            for number in itertools.count():
                wait = begun + number / self.rate - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                if time.monotonic() >= self.until:
                    return
                at = time.monotonic()
                client.mail(self.sender)
                client.rcpt("user@apn_example.com")
                code, text = client.data(content)
                self.seconds.append(time.monotonic() - at)
                self.replies.append((code, text.decode()))


class Probe(threading.Thread):
    """The longest round trip of a command that waits for nothing: how long the event loop did not turn."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.over = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 60) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.recv(1_000)
            while not self.over.wait(0.005):
                at = time.monotonic()
                line.sendall(b"RSET\r\n")
                line.recv(1_000)
                self.longest = max(self.longest, time.monotonic() - at)


def memory(dispatcher: Dispatcher) -> int:
    """Resident bytes of the worker."""
    (worker,) = dispatcher.status()["workers"]
    text = Path(f"/proc/{worker['pid']}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


@contextlib.contextmanager
def site(tmp_path: Path, source: str, **acceptance: Any) -> Iterator[tuple[Dispatcher, Path]]:
    file = tmp_path / "push.yaml"
    file.write_text(documents(source, acceptance))
    options = ["--queue-dir", str(tmp_path / "queue")] if "queue" in acceptance else []
    with Dispatcher([file], "--simulator", *options) as dispatcher:
        wait_until(lambda: dispatcher.metrics().get("tubepost_policy_processes") == 2)
        yield dispatcher, file


def faults(dispatcher: Dispatcher) -> float:
    return sum(
        v for name, v in dispatcher.metrics().items() if name.startswith("tubepost_policy_faults_total")
    )


def refused(dispatcher: Dispatcher) -> float:
    """Configurations that were."""
    return sum(
        value
        for name, value in dispatcher.metrics().items()
        if name.startswith("tubepost_config_reloads_total") and 'result="refused"' in name
    )


def load(dispatcher: Dispatcher) -> tuple[list[Sender], Sender, Probe]:
    until = time.monotonic() + SECONDS
    good = [
        Sender(dispatcher.port, f"g{n}@sender.example", (RATE - EVIL) / SENDERS, until)
        for n in range(SENDERS)
    ]
    evil = Sender(dispatcher.port, "evil@sender.example", EVIL, until)
    probe = Probe(dispatcher.port)
    for thread in (*good, evil, probe):
        thread.start()
    for thread in (*good, evil):
        thread.join(120)
    probe.over.set()
    probe.join(60)
    return good, evil, probe


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_served_and_whose_hook_fails_is_told_to_try_again(tmp_path: Path, kind: str) -> None:
    with site(tmp_path, module(KINDS[kind])) as (dispatcher, _):
        before = memory(dispatcher)
        good, evil, probe = load(dispatcher)
        after = memory(dispatcher)
        replies = [reply for sender in good for reply in sender.replies]
        assert len(replies) >= SENDERS
        assert {code for code, _ in replies} == {250}
        assert evil.replies
        if kind in HARMLESS:
            assert {code for code, _ in evil.replies} == {250}
        else:
            assert {code for code, _ in evil.replies} == {451}
            assert {text.partition(" id=")[0] for _, text in evil.replies} == {
                "4.3.0 The policy of this domain failed, try again later"
            }
            assert faults(dispatcher) == len(evil.replies)
        assert len(dispatcher.status()["workers"]) == 1
        assert after < before + 30_000_000
        times = sorted(second for sender in good for second in sender.seconds)
        print(  # noqa: T201 - for -s
            f"\n{kind}: {len(replies)} good in the median {statistics.median(times) * 1000:.0f} ms, at most "
            f"{times[-1] * 1000:.0f} ms; {len(evil.replies)} evil; loop stalled for at most "
            f"{probe.longest * 1000:.0f} ms; worker {before / 1e6:.0f} -> {after / 1e6:.0f} MB"
        )


def test_what_is_queued_is_kept_and_delivered_with_better_hooks(tmp_path: Path) -> None:
    acceptance = {
        "acceptance": {"mode": "Queued"},
        "queue": {"disk": {}},
        "delivery": {"retryInterval": "1s"},
    }
    with site(tmp_path, module(KINDS["loops for ever"]), **acceptance) as (dispatcher, file):
        good, evil, _ = load(dispatcher)
        replies = [*evil.replies, *(reply for sender in good for reply in sender.replies)]
        assert {code for code, _ in replies} == {250}
        wait_until(lambda: faults(dispatcher) >= 1)

        def ended() -> float:
            return dispatcher.metrics().get('tubepost_queue_ended_total{end="delivered"}', 0.0)

        wait_until(lambda: ended() == len(replies) - len(evil.replies))
        file.write_text(documents(module("return None"), acceptance))
        wait_until(lambda: ended() == len(replies), 60.0)


def test_a_module_that_is_no_python_never_comes_into_force(tmp_path: Path) -> None:
    with site(tmp_path, module("return None")) as (dispatcher, file):
        for source in ("def apn_request_eval(:\n", "import nowhere\n", "import os\nos._exit(1)\n"):
            before = refused(dispatcher)
            file.write_text(documents(source, {}))
            wait_until(lambda before=before: refused(dispatcher) > before)
            sender = Sender(dispatcher.port, "a@sender.example", 100.0, time.monotonic() + 0.2)
            sender.start()
            sender.join(60)
            assert {code for code, _ in sender.replies} == {250}
