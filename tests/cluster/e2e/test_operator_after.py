"""Bounces, hooks and a webhook by kubectl apply: edited under load, broken, mended; nothing is refused or lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.e2e.operating import CA, DOMAIN, Document, Operated, certificate, figure, secret
from tests.cluster.e2e.release import TOKEN, Release
from tests.cluster.handle import Cluster, container, pod_spec

AUTHORIZATION = b"Bearer 0123456789abcdef-of-the-test"
KEY = b"0123456789abcdef-signs-for-the-test"
BAD_TOKEN = "dead4001" + "ab" * 28
"""APNs says BadDeviceToken of it."""
GONE = "dead4101" + "ab" * 28
"""APNs says Unregistered of it, with a 410."""

# A relay and a receiver of events in one pod: keeps what it gets, and shows it on /state.
_SINK = """
import asyncio, email, email.policy, hashlib, hmac, json, sys
from aiohttp import web

authorization, key = sys.argv[1], sys.argv[2].encode()
mails, delivered, failed, wrong = [], set(), [], 0

async def smtp(reader, writer):
    def say(text):
        writer.write(text.encode() + bytes([13, 10]))
    sender = recipient = ""
    say("220 relay")
    while line := (await reader.readline()).decode().strip():
        word = line.upper()
        if word.startswith(("EHLO", "HELO")):
            say("250 relay")
        elif word.startswith("MAIL"):
            sender = line.partition("<")[2].partition(">")[0]
            say("250 OK")
        elif word.startswith("RCPT"):
            recipient = line.partition("<")[2].partition(">")[0]
            say("250 OK")
        elif word == "DATA":
            say("354 go on")
            lines = []
            while (part := await reader.readline()).rstrip() != b".":
                lines.append(part)
            mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            fields = {}
            for part in mail.walk():
                if part.get_content_type() == "message/delivery-status":
                    for group in part.get_payload():
                        fields.update(group.items())
            body = mail.get_body(("plain",))
            mails.append({
                "sender": sender, "recipient": recipient, "from": mail["From"], "subject": mail["Subject"],
                "type": mail.get_content_type(), "status": fields, "body": body.get_content() if body else "",
            })
            say("250 taken")
        elif word == "QUIT":
            say("221 bye")
            break
        else:
            say("250 OK")
    writer.close()

async def events(request):
    global wrong
    body = await request.read()
    parts = dict(part.partition("=")[::2] for part in request.headers.get("Tubepost-Signature", "").split(","))
    wanted = hmac.new(key, parts.get("t", "").encode() + b"." + body, hashlib.sha256).hexdigest()
    if request.headers.get("Authorization") != authorization or parts.get("v1") != wanted:
        wrong += 1
        return web.Response(status=401)
    for event in json.loads(body):
        if event["type"].endswith("delivered"):
            delivered.add(event["subject"])
        else:
            failed.append(event["data"].get("reason", ""))
    return web.Response(status=204)

async def state(request):
    return web.json_response({"mails": mails, "delivered": len(delivered), "failed": failed, "wrong": wrong})

async def main():
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/events", events)
    app.router.add_get("/state", state)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, None, 8080).start()
    await asyncio.start_server(smtp, None, 2525)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


# Runs in the sink: one notification as a request; prints status and body.
_REQUEST = """
import json, sys, urllib.error, urllib.request
url, token, domain, device, alert = sys.argv[1:]
body = {"domain": domain, "deviceToken": device, "payload": {"aps": {"alert": alert}}}
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
try:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=20) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


def hooks(version: int, *, more: str = "") -> Document:
    """A ConfigMap whose hooks mark what is sent, and send mail where a device is gone."""
    source = f"""
def apn_request_eval(req, msg):
    req.json["hooks"] = {version}

def generic_delivery_msg_dispose(msg):
    if msg.outcome.kind == "permanent" and msg.outcome.reason == "Unregistered":
        msg.send_mail("user@example.com", "You have news", msg.json["aps"]["alert"])
{more}"""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "hooks"},
        "data": {"policy.py": source},
    }


def sink(operated: Operated) -> list[Document]:
    """The pod and its Service."""
    box = container("sink", operated.release.cluster.image("dispatcher"))
    box["command"] = ["python", "-c", _SINK, AUTHORIZATION.decode(), KEY.decode()]
    box["readinessProbe"] = {"httpGet": {"path": "/state", "port": 8080}, "periodSeconds": 1}
    ports = [{"name": "smtp", "port": 25, "targetPort": 2525}, {"name": "http", "port": 8080}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "sink", "labels": {"app": "sink"}},
            "spec": pod_spec(box),
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "sink"},
            "spec": {"selector": {"app": "sink"}, "ports": ports},
        },
    ]


def events(**data: bytes) -> Document:
    """The Secret of the webhook."""
    return secret("events", **{"authorization": AUTHORIZATION, "hmac": KEY, **data})


BOUNCES = {"relay": {"host": "sink", "timeout": "5s"}, "from": "reports@example.com"}


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A PushDomain with all of it, and a queue on an emptyDir."""
    with cluster.namespace("after") as name:
        found = Operated(Release(cluster, name, tmp_path_factory.mktemp("release")))
        found.release.install({"simulator": {"clientCa": CA.certificate_pem.decode()}})
        webhook = {
            "url": "http://sink:8080/events",
            "authorization": {"secretName": "events", "key": "authorization"},
            "signature": {"secretName": "events", "key": "hmac"},
            "batchInterval": "200ms",
        }
        feed = found.logger(sink={"type": "Webhook", "webhook": webhook})
        feed["metadata"]["name"] = "feed"
        found.apply(
            *(secret("apns", certificate()), events(), hooks(1), found.route(), found.logger(), feed),
            *sink(found),
            found.push_domain(
                acceptance={"mode": "Queued"},
                queue={"disk": {}},
                bounces=BOUNCES,
                policy={"configMapName": "hooks"},
                loggers=["log", "feed"],
            ),
        )
        cluster.wait(name, "pod/sink", "condition=Ready", 60)
        found.ready()
        yield found


def state(operated: Operated) -> dict[str, Any]:
    """What the sink has got."""
    path = f"/api/v1/namespaces/{operated.namespace}/services/sink:8080/proxy/state"
    return dict(json.loads(operated.release.cluster.kubectl("get", "--raw", path)))


def marked(operated: Operated, version: int) -> float:
    """Wait until what arrives at APNs has passed these hooks; seconds that it took."""
    began = time.monotonic()
    operated.release.cluster.until(
        f"hooks {version}",
        lambda: operated.accepted()[-1]["payload"].get("hooks") == version,
        timeout=20,
        pause=0.2,
    )
    return time.monotonic() - began


def told(operated: Operated, kind: str, reason: str, *words: str) -> None:
    """Wait for a condition that is False for this reason; its message has these words, and a remedy."""

    def message() -> str:
        status, found, text = operated.condition(kind)
        return text if (status, found) == ("False", reason) else ""

    text = operated.release.cluster.until(f"{kind} {reason}", message, timeout=30)
    figure(text)
    for word in (*words, "Remedy: "):
        assert word in text


def of_logger(operated: Operated, kind: str, *wanted: str) -> None:
    """Wait for status and reason of a condition of the ApnLogger with the webhook."""

    def found() -> tuple[str, str]:
        conditions = operated.get("apnlogger", "feed")["status"]["conditions"]
        return next((item["status"], item["reason"]) for item in conditions if item["type"] == kind)

    operated.release.cluster.until(f"ApnLogger {kind} {wanted}", lambda: found() == wanted, timeout=20)


@pytest.mark.timeout(400, func_only=True)
def test_hooks_a_webhook_and_bounces_are_edited_broken_and_mended_under_load(operated: Operated) -> None:
    cluster = operated.release.cluster
    generation = operated.get("pushdomain", "alerts")["metadata"]["generation"]
    with operated.traffic() as traffic:
        marked(operated, 1)
        pod = operated.pod()["metadata"]["uid"]
        operated.apply(hooks(2))
        edited = marked(operated, 2)
        # Not Python: the operator says so, and the hooks before serve on.
        operated.apply(hooks(3, more="def"))
        told(operated, "ReferencesResolved", "PolicyInvalid", "'hooks'", "'policy.py'", "(line 8)")
        assert operated.condition()[:2] == ("False", "PolicyInvalid")
        assert operated.accepted()[-1]["payload"]["hooks"] == 2
        operated.apply(hooks(3))
        mended = marked(operated, 3)
        operated.ready()
        # What only a dispatcher can find out, with the module's own line in its log.
        operated.apply(hooks(4, more="import nowhere_to_be_found"))
        told(operated, "Programmed", "ConfigRefused", "configuration refused")
        log = cluster.logs(operated.namespace, "deploy/alerts", "--since=60s")
        assert "policy.py, line 8: ModuleNotFoundError: No module named 'nowhere_to_be_found'" in log
        assert operated.accepted()[-1]["payload"]["hooks"] == 3
        # Gone, and there again.
        cluster.kubectl("delete", "configmap", "hooks", operated.place)
        told(operated, "ReferencesResolved", "ConfigMapNotFound", "'hooks'", "spec.policy.configMapName")
        assert operated.accepted()[-1]["payload"]["hooks"] == 3
        operated.apply(hooks(5))
        marked(operated, 5)
        operated.ready()
        # The webhook's Secret.
        cluster.kubectl("delete", "secret", "events", operated.place)
        told(operated, "ReferencesResolved", "SecretNotFound", "ApnLogger feed", "'events'")
        of_logger(operated, "ReferencesResolved", "False", "SecretNotFound")
        operated.apply(events(hmac=b"short"))
        told(operated, "CredentialsValid", "Malformed", "ApnLogger feed", "'hmac'", "fewer than 16")
        of_logger(operated, "Ready", "False", "Malformed")
        # By what was good before, events go on.
        before = state(operated)["delivered"]
        cluster.until("more events", lambda: state(operated)["delivered"] > before + 20, timeout=15)
        operated.apply(events())
        operated.ready()
        of_logger(operated, "Ready", "True", "Ready")
        # Without a relay for reports a condition says what happens instead; Ready is not about it.
        operated.patch("pushdomain", "alerts", bounces={"relay": None})
        told(operated, "BouncesDeliverable", "NoRelay", DOMAIN, "logged and counted only")
        operated.ready()
        operated.patch("pushdomain", "alerts", bounces=BOUNCES)
        cluster.until("a relay", lambda: operated.condition("BouncesDeliverable")[:2] == ("True", "Relayed"))
        operated.ready()
        traffic.more()
    stats = traffic.check(reconnects=False)
    found = cluster.until(
        "all events",
        lambda: next((s for s in [state(operated)] if s["delivered"] >= stats["acknowledged"]), {}),
    )
    assert found["wrong"] == 0
    assert operated.pod()["metadata"]["uid"] == pod, "all of it reloads"
    assert operated.get("pushdomain", "alerts")["metadata"]["generation"] == generation + 2
    figure(f"hooks edited: {edited:.1f} s, mended: {mended:.1f} s; {stats}; events {found['delivered']}")


def test_a_failure_makes_a_bounce_or_the_mail_of_a_hook(operated: Operated) -> None:
    cluster = operated.release.cluster
    before = len(state(operated)["mails"])

    def send(token: str, alert: str) -> None:
        options = (f"--domain={DOMAIN}", f"--token={token}", f"--alert={alert}", "--from=app@example.com")
        said = cluster.exec(operated.namespace, "deploy/alerts", "tubepost", "send", *options)
        assert said.startswith("queued: 250")

    send(BAD_TOKEN, "to nobody")
    send(GONE, "to one who is gone")
    mails = cluster.until(
        "two mails", lambda: next((m for m in [state(operated)["mails"][before:]] if len(m) >= 2), []), 30
    )
    by_recipient = {mail["recipient"]: mail for mail in mails}
    assert set(by_recipient) == {"app@example.com", "user@example.com"}
    report, mail = by_recipient["app@example.com"], by_recipient["user@example.com"]
    assert (report["type"], report["sender"]) == ("multipart/report", "")
    assert f"<{BOUNCES['from']}>" in report["from"]
    assert report["status"]["Action"] == "failed"
    assert "BadDeviceToken" in report["status"]["Diagnostic-Code"]
    assert (mail["subject"], mail["body"].strip()) == ("You have news", "to one who is gone")
    assert {"BadDeviceToken", "Unregistered"} <= set(state(operated)["failed"])


def test_requests_come_in_by_the_service_once_their_tokens_are_there(operated: Operated) -> None:
    cluster = operated.release.cluster
    url = f"http://alerts.{operated.namespace}.svc.cluster.local:8080/v1/notifications"

    def post(token: str, alert: str) -> str:
        arguments = (url, token, DOMAIN, TOKEN, alert)
        return cluster.exec(operated.namespace, "pod/sink", "python", "-c", _REQUEST, *arguments)

    operated.patch("pushdomain", "alerts", rest={"tokens": {"secretName": "clients"}})
    told(operated, "ReferencesResolved", "SecretNotFound", "'clients'", "spec.rest.tokens")
    operated.apply(secret("clients", app=b"short"))
    told(operated, "CredentialsValid", "Malformed", "'clients'", "'app'", "shorter than 16")
    operated.apply(secret("clients", app=b"0123456789abcdef-of-the-app"))
    operated.ready(timeout=120)
    cluster.reachable(operated.namespace, "alerts", 8080)
    assert post("0123456789abcdef-of-another", "not for anybody").startswith("401 ")
    assert post("0123456789abcdef-of-the-app", "by a request").startswith("202 ")
    cluster.until("the notification", lambda: "by a request" in operated.alerts())
    assert "not for anybody" not in operated.alerts()
