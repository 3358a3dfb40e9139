"""The webhook through the product: events survive what happens to receiver and dispatcher; the example works."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.processes import free_port
from tests.e2e.app import REPOSITORY, Dispatcher, Simulator, tubepost, wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import kill_all
from tests.e2e.webhook_receiver import GARBAGE, HALF, HANG, HUGE, Receiver

pytestmark = [pytest.mark.timeout(300)]

EXAMPLE = REPOSITORY / "examples" / "webhook"
GONE, LIVING = "dead4101" + "ab" * 28, "12" * 32
DOMAIN = "apn_example.com"


class Site:
    """The manifests of the example, for a simulator and a receiver on this machine."""

    def __init__(self, credentials: Path, directory: Path, simulator: Simulator) -> None:
        self.directory = directory
        self.queue = directory / "queue"
        self.key = secrets.token_hex(16)
        self.port = free_port()
        self._credentials = credentials
        self._documents = list(yaml.safe_load_all((EXAMPLE / "manifests.yaml").read_text()))
        self.of("ApnRoute", "apns")["spec"] = {
            "endpoint": f"https://localhost:{simulator.port}",
            "certificate": {"secretName": "apns-certificate"},
            "tls": {"ca": {"secretName": "simulator-ca", "key": "ca.crt"}},
        }
        self.domain = self.of("PushDomain", "alerts")["spec"]
        self.domain |= {"workers": 1, "domains": [{"name": DOMAIN}]}
        self.logger = self.of("ApnLogger", "dead-tokens")["spec"]
        # It shows dead tokens, too, as it should; what programs print here is searched for tokens.
        log = {"type": "File", "file": {"path": str(directory / "log.jsonl")}}
        self.of("ApnLogger", "log")["spec"]["sink"] = log
        self.webhook = self.logger["sink"]["webhook"]
        self.webhook |= {"batchInterval": "50ms", "maxRetryInterval": "200ms"}

    def of(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any]
        (found,) = (one for one in self._documents if (one["kind"], one["metadata"]["name"]) == (kind, name))
        return found

    def dispatcher(self, receiver_port: int, scheme: str = "http") -> Dispatcher:
        self.webhook["url"] = f"{scheme}://localhost:{receiver_port}/events"
        manifests = self.write()
        arguments = ["--port", str(self.port)]
        if "queue" in self.domain:
            arguments += ["--queue-dir", str(self.queue)]
        return Dispatcher([manifests, self._credentials / "secrets.yaml"], *arguments)

    def write(self) -> Path:
        """The manifests, whole at any moment."""
        feed = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "feed"},
            "stringData": {"key": self.key, "authorization": "Bearer throw-away"},
        }
        manifests, scratch = self.directory / "push.yaml", self.directory / "push.yaml.new"
        scratch.write_text(yaml.safe_dump_all([*self._documents, feed]))
        return scratch.replace(manifests)

    def send(self, token: str) -> None:
        """One message, which is acknowledged."""
        done = tubepost(
            "send", "--port", str(self.port), "--domain", DOMAIN, "--token", token, "--alert", "x"
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def site(credentials: Path, tmp_path: Path) -> Iterator[Site]:
    with Simulator(credentials) as simulator:
        yield Site(credentials, tmp_path, simulator)


@contextlib.contextmanager
def example(site: Site) -> Iterator[tuple[int, Path]]:
    """The receiver of the example: its port and its database."""
    database, key = site.directory / "tokens.db", site.directory / "signature-key"
    key.write_text(site.key + "\n")
    command = [sys.executable, str(EXAMPLE / "receiver.py"), "--database", str(database)]
    serving = subprocess.Popen(
        [*command, "serve", "--port", "0", "--key-file", str(key)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        yield int(serving.stdout.readline().rpartition(":")[2].rstrip("/\n")), database
    finally:
        serving.terminate()
        serving.communicate(timeout=20)


def call(database: Path, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLE / "receiver.py"), "--database", str(database), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_receiver_of_the_example_forgets_a_device_that_is_gone_and_no_other(site: Site) -> None:
    sent = 'tubepost_webhook_sent_total{logger="dead-tokens"}'
    with example(site) as (port, database), site.dispatcher(port) as dispatcher:
        for token, user in ((GONE, "anna"), (LIVING, "ben")):
            call(database, "register", token, user)
        # Two days ago; the simulator calls the token dead since yesterday.
        with contextlib.closing(sqlite3.connect(database)) as tables, tables:
            tables.execute("UPDATE tokens SET registered_ms = registered_ms - 172800000")
        site.send(LIVING)
        site.send(GONE)
        wait_until(lambda: dispatcher.metrics().get(sent) == 1.0)
        assert call(database, "list") == f"ben {LIVING}\n"
        # The app is installed again: what APNs says of the time before does not concern it.
        call(database, "register", GONE, "anna")
        site.send(GONE)
        wait_until(lambda: dispatcher.metrics().get(sent) == 2.0)
        assert call(database, "list") == f"anna {GONE}\nben {LIVING}\n"
        assert dispatcher.stop() == 0


def test_events_that_are_forged_old_or_no_events_change_nothing(site: Site) -> None:
    """The example's own checks, asked directly."""
    event = {"source": "s", "id": "1", "data": {"deadToken": GONE, "deadTokenTimestamp": 2**53}}
    body, now = json.dumps([event]).encode(), int(time.time())

    def sign(key: str, at: int, text: bytes) -> str:
        return f"t={at},v1=" + hmac.new(key.encode(), b"%d." % at + text, hashlib.sha256).hexdigest()

    with example(site) as (port, database):
        call(database, "register", GONE, "anna")

        def post(text: bytes, signature: str) -> int:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
                connection.request("POST", "/events", text, {"Tubepost-Signature": signature})
                return connection.getresponse().status

        assert post(body, sign("another key", now, body)) == 401
        assert post(body, sign(site.key, now - 3600, body)) == 401
        assert post(body + b" ", sign(site.key, now, body)) == 401
        assert post(body, "") == post(body, "t=,v1=\xe9") == 401
        assert post(b"{}", sign(site.key, now, b"{}")) == 400
        assert post(b"[1]", sign(site.key, now, b"[1]")) == 400
        assert GONE in call(database, "list")
        assert post(body, sign(site.key, now, body)) == 204
        assert call(database, "list") == ""
        call(database, "register", GONE, "anna")
        assert post(body, sign(site.key, now, body)) == 204
        assert GONE in call(database, "list"), "an event that came before is passed over"


def everything(site: Site) -> None:
    """Every event, instead of dead tokens."""
    del site.logger["filter"]


def delivered(dispatcher: Dispatcher) -> float:
    return sum(
        value
        for name, value in dispatcher.metrics().items()
        if name.startswith("tubepost_attempts_total") and 'outcome="delivered"' in name
    )


def test_with_a_queue_nothing_is_lost_while_the_receiver_is_down_and_everything_is_killed(
    site: Site,
) -> None:
    everything(site)
    port, count = free_port(), 400
    dispatcher = site.dispatcher(port).__enter__()
    try:
        with Injector(site.port, 10, total=count) as injector:
            injector.join(120.0)
        wait_until(lambda: delivered(dispatcher) >= count, 60.0)
        wait_until(lambda: "tubepost_queue_entries 0.0" in _metrics(dispatcher), 30.0)
        assert dispatcher.status()["workers"][0]["loggerProblems"]
        kill_all(dispatcher)
    finally:
        dispatcher.__exit__()
    with Receiver(port) as receiver:
        with site.dispatcher(port) as dispatcher:
            wait_until(lambda: len(receiver.ids("delivered")) >= count, 60.0)
            assert dispatcher.stop() == 0
        assert len(receiver.ids("delivered")) == count
    assert not list(site.queue.glob("outbox/*/*.events")), "what was taken is not kept"


def _metrics(dispatcher: Dispatcher) -> str:
    return "\n".join(f"{name} {value}" for name, value in dispatcher.metrics().items())


def test_killed_at_any_moment_every_end_is_told(site: Site) -> None:
    """Workers die under load, between APNs' answer, the outbox and the queue's commit."""
    everything(site)
    site.domain["workers"] = 2
    count = 600
    with Receiver() as receiver, site.dispatcher(receiver.port) as dispatcher:
        with Injector(site.port, 10, total=count) as injector:
            for kill in range(3):
                wait_until(lambda at=count * (kill + 1) / 4: injector.sent > at, 60.0)
                _kill_a_worker(dispatcher)
            injector.join(120.0)
        accepted = {text.rpartition("Queued as ")[2].split()[0] for text in injector.accepted.values()}
        wait_until(lambda: "tubepost_queue_entries 0.0" in _metrics(dispatcher), 60.0)
        wait_until(lambda: not accepted - receiver.ids("delivered").keys(), 60.0)
        assert dispatcher.stop() == 0
    assert len(accepted) == len(injector.accepted) > count * 0.8


def _kill_a_worker(dispatcher: Dispatcher) -> None:
    workers = [worker for worker in dispatcher.status()["workers"] if worker]
    os.kill(workers[0]["pid"], signal.SIGKILL)


def test_without_a_queue_drops_are_counted_and_deliveries_go_on(site: Site) -> None:
    everything(site)
    del site.domain["queue"]
    site.domain["acceptance"] = {"mode": "Direct"}
    site.webhook["maxEvents"] = 50
    count = 300
    with Receiver() as receiver:
        receiver.status = 503
        with site.dispatcher(receiver.port) as dispatcher:
            with Injector(site.port, 10, total=count) as injector:
                injector.join(120.0)
            assert len(injector.accepted) == count
            dropped = 'tubepost_webhook_dropped_total{logger="dead-tokens",reason="full"}'
            wait_until(lambda: dispatcher.metrics().get(dropped, 0.0) >= count - 50 - 100)
            receiver.status = 204
            wait_until(
                lambda: dispatcher.metrics().get('tubepost_webhook_waiting{logger="dead-tokens"}') == 0
            )
            figures = dispatcher.metrics()
            sent = figures['tubepost_webhook_sent_total{logger="dead-tokens"}']
            assert sent + figures[dropped] == count
            assert sent == len(receiver.ids("delivered"))
            assert dispatcher.stop() == 0


def test_what_apns_says_in_its_development_environment_is_in_the_event(site: Site) -> None:
    everything(site)
    with Receiver() as receiver, site.dispatcher(receiver.port) as dispatcher:
        site.send(LIVING)
        wait_until(lambda: receiver.ids("delivered"))
        (event,) = receiver.events
        assert re.fullmatch(r"[0-9a-f-]{36}", event["data"]["apnsUniqueId"])
        assert event["data"]["peerIp"] in {"127.0.0.1", "::1"}
        assert event["data"]["sentBytes"] > 100
        traced = tubepost("queue", "trace", event["data"]["messageId"], "--port", dispatcher.found["admin"])
        assert event["data"]["apnsUniqueId"] in traced.stdout, traced.stdout + traced.stderr
        assert dispatcher.stop() == 0


def test_whatever_the_receiver_does_deliveries_go_on_and_every_event_arrives(
    site: Site, credentials: Path
) -> None:
    """By TLS with authorities of its own; at the end with another key, in force without a restart."""
    everything(site)
    site.webhook |= {"timeout": "500ms", "ca": {"secretName": "simulator-ca", "key": "ca.crt"}}
    each, sent = 40, 0
    made = (credentials / "server.crt", credentials / "server.key")
    with Receiver(tls=made) as receiver, site.dispatcher(receiver.port, "https") as dispatcher:
        for fault, status, headers, delay in (
            ("", 500, {}, 0.0),
            ("", 429, {"Retry-After": "1"}, 0.0),
            ("", 204, {}, 0.3),
            (GARBAGE, 204, {}, 0.0),
            (HALF, 204, {}, 0.0),
            (HUGE, 204, {}, 0.0),
            (HANG, 204, {}, 0.0),
        ):
            receiver.fault, receiver.status = fault, status
            receiver.headers, receiver.delay = headers, delay
            before = receiver.requests
            with Injector(site.port, 4, total=each, name=f"{fault}{status}-") as injector:
                injector.join(60.0)
            sent += each
            assert len(injector.accepted) == each
            wait_until(lambda expected=sent: delivered(dispatcher) == expected, 10.0)
            wait_until(lambda at=before: receiver.requests > at, 10.0)
        receiver.fault, receiver.status, receiver.delay = "", 204, 0.0
        wait_until(lambda: len(receiver.ids("delivered")) == sent, 30.0)
        metrics = dispatcher.metrics().items()
        dropped = {value for name, value in metrics if name.startswith("tubepost_webhook_dropped_total")}
        assert dropped == {0}
        site.key = secrets.token_hex(16)
        site.write()

        def signed_anew() -> bool:
            site.send(LIVING)
            fields, body = receiver.seen[-1]
            at, _, given = fields["Tubepost-Signature"].removeprefix("t=").partition(",v1=")
            text = at.encode() + b"." + body
            return given == hmac.new(site.key.encode(), text, hashlib.sha256).hexdigest()

        wait_until(signed_anew, 30.0)
        assert dispatcher.stop() == 0
