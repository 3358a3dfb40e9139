"""Each alert of a dispatcher fires in a real Prometheus when its cause is made, and clears when it is mended.

The expressions are the chart's, with hours made seconds. Those of the operator are tried on the cluster
(tests/cluster/e2e/test_operator_alerts.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import smtplib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.processes import free_port
from tests.e2e.app import Dispatcher, Simulator, children, tubepost, wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered
from tests.e2e.test_bounces import dead, send
from tests.e2e.test_queue_disk import inside, volume
from tests.e2e.webhook_receiver import Receiver
from tests.peers.nats_server import NatsServer
from tests.peers.postfix import REFUSED, Postfix
from tests.peers.prometheus import Prometheus
from tests.peers.servers import GoPeer
from tests.support.mcmt import message, part

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("alerts"), pytest.mark.timeout(400)]

DOMAIN, ELSEWHERE = "apn_example.com", "elsewhere.example"
LIVING, BAD_TOPIC, UNAVAILABLE = "12" * 32, "dead4005" + "ab" * 28, "dead5030" + "ab" * 28
LONG = dict.fromkeys(("delivery", "tempfail", "permfail"), "%i " + "x" * 900)
"""Formats of lines of which some thousand fill the buffer of a file that cannot be written."""
HOOKS = """
from tubepost_policy import Message, Request

def apn_request_eval(request: Request, message: Message) -> None:
    if message.context.get("hook") == "raise":
        raise RuntimeError("no")
"""


class Site:
    """A PushDomain with much that can go wrong: a simulator that takes what it should, a route with nobody at its
    end and a certificate that ends soon, a log that is full, two webhooks, hooks.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifests = directory / "push.yaml"
        self.log = "/dev/full"
        self.days = 5
        self.refusing, self.away = Receiver(), Receiver()
        self.elsewhere = free_port()
        self.apns = 0
        self.routes = ["apns"]
        for days in (5, 400):
            made = tubepost("credentials", "make", "-o", str(self.made(days)), "--days", str(days))
            assert made.returncode == 0, made.stderr

    def made(self, days: int) -> Path:
        return self.directory / f"made-{days}"

    def secrets(self) -> list[dict[str, Any]]:
        secrets = list(yaml.safe_load_all((self.made(400) / "secrets.yaml").read_text()))
        others = yaml.safe_load_all((self.made(self.days) / "secrets.yaml").read_text())
        (short,) = (one for one in others if one["metadata"]["name"] == "apns-certificate")
        return [*secrets, {**short, "metadata": {"name": "elsewhere-certificate"}}]

    def route(self, port: int, certificate: str) -> dict[str, Any]:
        return {
            "endpoint": f"https://localhost:{port}",
            "certificate": {"secretName": certificate},
            "tls": {"ca": {"secretName": "simulator-ca", "key": "ca.crt"}},
        }

    def webhook(self, port: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}/"
        webhook = {"url": url, "batchInterval": "50ms", "maxRetryInterval": "200ms"}
        return {"sink": {"type": "Webhook", "webhook": webhook}}

    def write(self) -> None:
        """The manifests as they are now, whole at any moment."""
        spec = {
            "domains": [{"name": DOMAIN}, {"name": ELSEWHERE, "routes": ["elsewhere"]}],
            "routes": self.routes,
            "loggers": ["lines", "refusing", "away"],
            "workers": 1,
            "acceptance": {"deadline": "3s"},
            "policy": {"configMapName": "hooks"},
        }
        documents = [
            _object("PushDomain", "alerts", spec),
            _object("ApnRoute", "apns", self.route(self.apns, "apns-certificate")),
            _object("ApnRoute", "elsewhere", self.route(self.elsewhere, "elsewhere-certificate")),
            _object(
                "ApnLogger", "lines", {"formats": LONG, "sink": {"type": "File", "file": {"path": self.log}}}
            ),
            _object("ApnLogger", "refusing", self.webhook(self.refusing.port)),
            _object("ApnLogger", "away", self.webhook(self.away.port)),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "hooks"},
                "data": {"policy.py": HOOKS},
            },
            *self.secrets(),
        ]
        scratch = self.manifests.with_suffix(".new")
        scratch.write_text(yaml.safe_dump_all(documents))
        scratch.replace(self.manifests)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "tubepost.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def one(port: int, token: str, domain: str = DOMAIN, context: str = "") -> None:
    """One message, whatever becomes of it."""
    headers = [f"X-Tubepost-Context: {context}".encode()] if context else []
    content = message(part(b'{"aps":{"alert":"x"}}', token=token.encode()), headers=headers)
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client, contextlib.suppress(smtplib.SMTPException):
        client.sendmail("app@sender.example", [f"user@{domain}"], content)


@contextlib.contextmanager
def going_on(*messages: Callable[[], None]) -> Iterator[None]:
    """Each message again and again, in a thread of its own."""
    over = threading.Event()

    def repeat(send_one: Callable[[], None]) -> None:
        while not over.wait(0.05):
            with contextlib.suppress(OSError):
                send_one()

    threads = [
        threading.Thread(target=repeat, args=(one,), daemon=True) for one in messages for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60.0)


def kill_workers(dispatcher: Dispatcher, times: int) -> None:
    """Kill the worker, and each of its successors."""
    for _ in range(times):
        (worker,) = dispatcher.status()["workers"]
        os.kill(worker["pid"], signal.SIGKILL)
        wait_until(lambda gone=worker["pid"]: _serving(dispatcher, gone), 60.0)


def _serving(dispatcher: Dispatcher, gone: int) -> bool:
    return [one["pid"] for one in dispatcher.status()["workers"] if one["pid"]] not in ([], [gone])


def test_what_goes_wrong_while_senders_wait(tmp_path: Path) -> None:
    site = Site(tmp_path)
    causes = {
        "TubepostCredentialExpiring",
        "TubepostCredentialExpiringSoon",
        "TubepostRouteHeld",
        "TubepostDeliveryFailures",
        "TubepostMessagesDeferred",
        "TubepostApnsSlow",
        "TubepostLogLinesLost",
        "TubepostWebhookBehind",
        "TubepostWebhookDrops",
        "TubepostPolicyFails",
        "TubepostWorkersDie",
        "TubepostConfigRefused",
    }
    with (
        site.refusing,
        site.away,
        Simulator(site.made(400)) as simulator,
        Prometheus(latencySeconds=0.25, webhookAgeSeconds=2) as prometheus,
    ):
        site.apns = simulator.port
        site.write()
        site.refusing.status, site.away.status = 400, 500
        simulator.chaos(latencyMs=500)
        with Dispatcher([site.manifests]) as dispatcher:
            prometheus.scrape(int(dispatcher.found["http"]), push_domain="alerts", pod="alerts-1")
            port = dispatcher.port
            with going_on(
                lambda: one(port, LIVING),
                lambda: one(port, BAD_TOPIC),
                lambda: one(port, UNAVAILABLE),
                lambda: one(port, LIVING, context="hook=raise"),
                lambda: one(port, LIVING, ELSEWHERE),
            ):
                prometheus.fires(causes - {"TubepostWorkersDie", "TubepostConfigRefused"})
                kill_workers(dispatcher, 3)
                prometheus.fires({"TubepostWorkersDie"})
                site.routes = ["nowhere"]
                site.write()
                prometheus.fires({"TubepostConfigRefused"})
            labels = prometheus.firing()["TubepostConfigRefused"][0]
            assert (labels["namespace"], labels["push_domain"], labels["pod"]) == (
                "shop",
                "alerts",
                "alerts-1",
            )
            site.routes, site.log, site.days = ["apns"], str(tmp_path / "lines.log"), 400
            site.refusing.status = site.away.status = 204
            simulator.chaos(latencyMs=0)
            site.write()
            made = site.made(400)
            with (
                GoPeer("apnsserver", made / "server.crt", made / "server.key", port=site.elsewhere),
                going_on(lambda: one(port, LIVING), lambda: one(port, LIVING, ELSEWHERE)),
            ):
                prometheus.clears(causes)
            assert dispatcher.stop() == 0, dispatcher.output()


def test_what_goes_wrong_with_a_queue(tmp_path: Path) -> None:
    site = QueueSite(tmp_path)
    relay = free_port()
    site.spec["queue"]["disk"]["reserve"] = "4Mi"
    site.spec["delivery"] = {"retryInterval": "1s", "maxRetryInterval": "2s"}
    site.spec["bounces"] = {"relay": {"host": "127.0.0.1", "port": relay, "timeout": "5s"}}
    dispatcher = site.dispatcher()
    dispatcher.prefix = volume(site, "size=32m")
    with Prometheus(queueAgeSeconds=3, queueGrowth=50) as prometheus, dispatcher:
        prometheus.scrape(int(dispatcher.found["http"]), push_domain="alerts", pod="alerts-0")
        # APNs is away, and the volume fills up.
        prometheus.until(lambda: prometheus.query("tubepost_queue_entries offset 12s"), "nothing is scraped")
        with Injector(site.smtp_port, 5, total=200) as injector:
            injector.join(60.0)
        prometheus.fires({"TubepostQueueOld", "TubepostQueueGrowing"})
        ballast = inside(dispatcher, site.queue) / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 29 * 1024 * 1024)
        with going_on(lambda: one(site.smtp_port, LIVING)):
            prometheus.fires({"TubepostQueueSpace", "TubepostQueueRefuses"})
        ballast.unlink()
        with site.peer() as peer:
            wait_until(lambda: injector.accepted.keys() <= answered(peer).keys(), 60.0)
            causes = {
                "TubepostQueueOld",
                "TubepostQueueGrowing",
                "TubepostQueueSpace",
                "TubepostQueueRefuses",
            }
            prometheus.clears(causes)
            # Devices are gone, and nobody takes the reports.
            dead(peer, 2)
            for _ in range(2):
                assert send(site.smtp_port)[0] == 250
            prometheus.fires({"TubepostBounceRelayDown"})
            with Postfix(port=relay):
                prometheus.clears({"TubepostBounceRelayDown"})
                dead(peer, 4)
                for _ in range(4):
                    assert send(site.smtp_port, sender=REFUSED)[0] == 250
                prometheus.fires({"TubepostBouncesGivenUp"})
                prometheus.clears({"TubepostBouncesGivenUp"})
        assert dispatcher.stop() == 0, dispatcher.output()


def test_what_goes_wrong_with_a_stream(tmp_path: Path) -> None:
    site = QueueSite(tmp_path / "site")
    with NatsServer(tmp_path / "nats") as server, Prometheus() as prometheus:
        site.spec["queue"] = {"jetStream": {"servers": [server.url], "replicas": 1}}
        with site.dispatcher() as dispatcher:
            prometheus.scrape(int(dispatcher.found["http"]), push_domain="alerts", pod="alerts-0")
            server.kill()
            prometheus.fires({"TubepostQueueStreamUnusable"})
            (labels,) = prometheus.firing()["TubepostQueueStreamUnusable"]
            assert labels["state"] == "unreachable"
            server.start()
            prometheus.clears({"TubepostQueueStreamUnusable"})
            assert dispatcher.stop() == 0, dispatcher.output()


def test_what_goes_wrong_with_partitions(tmp_path: Path) -> None:
    site = QueueSite(tmp_path)
    site.spec["workers"] = 2
    with site.dispatcher() as dispatcher:
        assert dispatcher.stop() == 0
    # The header of a file that was something else, and a process that has the other partition.
    (site.queue / "01" / "current" / "queue.db").write_bytes(b"not a database, " * 1000)
    with (
        (site.queue / "00" / "lock").open("r+b") as lock,
        # A scrape waits a second for workers that are stopped, which they are for a few seconds.
        Prometheus(interval=1.5) as prometheus,
        site.dispatcher() as dispatcher,
    ):
        prometheus.scrape(int(dispatcher.found["http"]), push_domain="alerts", pod="alerts-0")
        prometheus.fires({"TubepostQueueDamaged"})
        # They adopt nothing, and no successor of theirs is forked.
        stopped = children(dispatcher.pid)
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            (site.queue / "07").mkdir()
            (site.queue / "07" / "lock").touch()
            prometheus.fires({"TubepostQueuePartitionOrphaned"})
        finally:
            for process in stopped:
                with contextlib.suppress(ProcessLookupError):  # killed, since it was silent
                    os.kill(process, signal.SIGCONT)
        prometheus.clears({"TubepostQueuePartitionOrphaned"})
        assert dispatcher.stop() == 0, dispatcher.output()
        fcntl.flock(lock, fcntl.LOCK_EX)
        for damaged in site.queue.glob("*/damaged-*"):
            shutil.rmtree(damaged)
        with site.dispatcher() as successor:
            prometheus.scrape(int(successor.found["http"]), push_domain="alerts", pod="alerts-0")
            prometheus.fires({"TubepostQueuePartitionUnusable"})
            prometheus.clears({"TubepostQueueDamaged"})
            fcntl.flock(lock, fcntl.LOCK_UN)
            prometheus.clears({"TubepostQueuePartitionUnusable"})
            assert successor.stop() == 0, successor.output()
