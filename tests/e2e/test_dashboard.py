"""Every panel of the dashboard shows data of a real dispatcher in a real Prometheus, and the whole can be drawn."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import smtplib
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.processes import free_port
from scripts.draw_dashboard import draw, expression, panels
from tests.e2e.app import REPOSITORY, Simulator
from tests.e2e.queue_site import QueueSite
from tests.e2e.test_alerts import LIVING, UNAVAILABLE, going_on, one
from tests.e2e.test_rest import RestDispatcher
from tests.e2e.webhook_receiver import Receiver
from tests.peers.nats_server import NatsServer
from tests.peers.postfix import Postfix
from tests.peers.prometheus import Prometheus
from tests.support.mcmt import message, part

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("alerts"), pytest.mark.timeout(300)]

PICTURES = os.environ.get("TUBEPOST_PICTURES")
GONE = "dead4101" + "ab" * 28
TOKEN = "throw-away-rest-token"
HOOKS = """
import os
from tubepost_policy import CONTINUE, Message, Request

def apn_request_eval(request: Request, message: Message) -> None:
    if message.context.get("hook") == "raise":
        raise RuntimeError("no")
    if message.context.get("hook") == "die":
        os._exit(1)

def generic_delivery_msg_dispose(message: Message) -> str:
    if message.outcome.reason == "Unregistered":
        message.send_mail("desk@sender.example", "gone", "gone")
    return CONTINUE
"""


def documents(directory: Path, apns: int, relay: int, receiver: int) -> list[dict[str, Any]]:
    def of(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "tubepost.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    ca = {"ca": {"secretName": "simulator-ca", "key": "ca.crt"}}
    endpoint = f"https://localhost:{apns}"
    away = {
        "endpoint": f"https://localhost:{free_port()}",
        "certificate": {"secretName": "apns-certificate"},
        "tls": ca,
    }
    webhook = {"url": f"http://127.0.0.1:{receiver}/", "batchInterval": "50ms", "maxRetryInterval": "200ms"}
    return [
        of(
            "PushDomain",
            "alerts",
            {
                "domains": [
                    {"name": "apn_example.com"},
                    {"name": "token.example", "routes": ["token"]},
                    {"name": "failover.example", "routes": ["away", "certificate", "token"]},
                    {"name": "void.example", "delivery": {"mode": "Blackhole"}},
                ],
                "routes": ["certificate"],
                "loggers": ["lines", "feed"],
                "workers": 1,
                "acceptance": {"mode": "Queued"},
                "queue": {"disk": {}},
                "delivery": {"retryInterval": "1s", "maxRetryInterval": "2s"},
                "policy": {"configMapName": "hooks"},
                "bounces": {"relay": {"host": "127.0.0.1", "port": relay}},
                "passthru": {"host": "127.0.0.1", "port": relay},
                "tracing": {"endpoint": f"http://127.0.0.1:{receiver}"},
                "rest": {"port": 8080, "tokens": {"secretName": "rest-tokens"}},
            },
        ),
        of(
            "ApnRoute",
            "certificate",
            {"endpoint": endpoint, "certificate": {"secretName": "apns-certificate"}, "tls": ca},
        ),
        of(
            "ApnRoute",
            "token",
            {
                "endpoint": endpoint,
                "token": {"secretName": "apns-token"},
                "topic": "com.example.app",
                "tls": ca,
            },
        ),
        of("ApnRoute", "away", away),
        of("ApnLogger", "lines", {"sink": {"type": "File", "file": {"path": str(directory / "lines.log")}}}),
        of("ApnLogger", "feed", {"sink": {"type": "Webhook", "webhook": webhook}}),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "hooks"},
            "data": {"policy.py": HOOKS},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "rest-tokens"},
            "stringData": {"app": TOKEN},
        },
    ]


def request(port: int) -> None:
    """A notification by REST, whatever becomes of it."""
    body = json.dumps(
        {"domain": "apn_example.com", "deviceToken": LIVING, "payload": {"aps": {"alert": "x"}}}
    )
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
        client.request("POST", "/v1/notifications", body, {"Authorization": f"Bearer {TOKEN}"})
        client.getresponse().read()


def odd(port: int) -> None:
    """What is taken with a warning, what is mail, and what is sent to nobody; and a recipient that is refused."""
    seed = (REPOSITORY / "examples" / "seed-message.eml").read_bytes()
    for_phones = message(part(), part(b"hi", token=None, kind=b"message/vnd.msys.sms"))
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client, contextlib.suppress(smtplib.SMTPException):
        client.sendmail("app@sender.example", ["user@apn_example.com"], seed)
        client.sendmail("app@sender.example", ["user@apn_example.com"], for_phones)
        client.sendmail("app@sender.example", ["user@apn_example.com"], b"Subject: mail\r\n\r\nplain\r\n")
        client.docmd("MAIL FROM:app@sender.example")
        client.docmd("RCPT TO:<user@nowhere.example>")


def of_dispatchers(panel: Mapping[str, Any]) -> bool:
    """Whether a panel, or a row, is about dispatchers; those about the operator need a cluster."""
    return "tubepost_operator_" not in str(panel.get("targets")) and panel["title"] != "Operator"


def test_every_panel_has_data_and_the_whole_is_drawn(tmp_path: Path, credentials: Path) -> None:
    manifests = tmp_path / "push.yaml"
    with (
        Simulator(credentials) as simulator,
        Receiver() as receiver,
        Postfix() as relay,
        NatsServer(tmp_path / "nats") as nats,
        Prometheus() as prometheus,
    ):
        text = yaml.safe_dump_all(documents(tmp_path, simulator.port, relay.port, receiver.port))
        manifests.write_text(text)
        simulator.chaos(dropAfterRequests=40)
        files = [manifests, credentials / "secrets.yaml"]
        on_stream = QueueSite(tmp_path / "stream")
        on_stream.spec["queue"] = {"jetStream": {"servers": [nats.url], "replicas": 1}}
        with (
            RestDispatcher(files, "--rest-port", "0", "--queue-dir", str(tmp_path / "queue")) as dispatcher,
            on_stream.dispatcher() as other,
        ):
            prometheus.scrape(int(dispatcher.found["http"]), push_domain="alerts", pod="alerts-0")
            prometheus.scrape(int(other.found["http"]), push_domain="news", pod="news-0")
            start = time.time()
            port, rest = dispatcher.port, int(dispatcher.found["rest"])
            with going_on(
                lambda: one(port, LIVING),
                lambda: one(port, LIVING, "token.example"),
                lambda: one(port, LIVING, "failover.example"),
                lambda: one(port, LIVING, "void.example"),
                lambda: one(port, GONE),
                lambda: one(port, UNAVAILABLE),
                lambda: one(port, UNAVAILABLE, "failover.example"),
                lambda: one(port, LIVING, context="hook=raise"),
                lambda: one(port, LIVING, context="hook=die"),
                lambda: request(rest),
                lambda: odd(port),
            ):
                wanted = [
                    (panel["title"], expression(target, "8s").removesuffix(" > 0"))
                    for panel in panels()
                    if of_dispatchers(panel)
                    for target in panel.get("targets", ())
                ]
                silent, reloads = wanted, 0
                end = time.monotonic() + 100
                while silent and time.monotonic() < end:
                    silent = [asked for asked in silent if not prometheus.query(asked[1])]
                    # Some is of the moment: changes of the configuration, connections that end.
                    reloads += 1
                    manifests.write_text(
                        text.replace("maxRetryInterval: 2s", f"maxRetryInterval: {2 + reloads % 5}s")
                    )
                    time.sleep(0.5)  # Prometheus announces nothing
                assert silent == []
                if PICTURES is not None:  # of half a minute
                    prometheus.until(lambda: time.time() > start + 40, "time stands still")
                drawn = draw(f"http://127.0.0.1:{prometheus.port}", start, time.time(), "8s", of_dispatchers)
            assert dispatcher.stop() == 0
    picture = Path(PICTURES or tmp_path) / "dashboard.svg"
    picture.write_text(drawn)
    texts = [element.text for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {panel["title"] for panel in panels() if of_dispatchers(panel)} <= set(texts)
