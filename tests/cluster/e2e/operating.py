"""What the tests of the operator share: credentials of their own, traffic that counts, and looks at objects."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.cluster.e2e.release import TOKEN, Release
from tests.cluster.handle import TooSlow, container, pod_spec
from tubepost_credentials.throwaway import KeyPair, make_apns_certificate, make_ca

Document = dict[str, Any]
CA = make_ca()
DOMAIN = "apn_example.com"

# Sends in a pod, a message every so often on each of a few sessions, until told to stop; counts what became of them.
_TRAFFIC = """
import asyncio, json, os, sys
from tubepost_cli.message import push_message

host, port, rate, sessions, token, domain = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6]
label = sys.argv[7]
stats = {"acknowledged": 0, "taken": [], "refused": [], "cut": [], "sessions": 0, "closed": 0, "done": False}
numbers = iter(range(10**9))
stopping = asyncio.Event()

async def reply(reader):
    lines = []
    while True:
        line = (await asyncio.wait_for(reader.readline(), 60)).decode()
        if not line:
            raise ConnectionError("closed")
        lines.append(line)
        if line[3:4] != "-":
            return int(line[:3]), lines[-1].strip()

async def connect():
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
    code, text = await reply(reader)
    if code != 220:
        raise ConnectionError(text)
    writer.write(b"EHLO traffic" + bytes([13, 10]))
    await reply(reader)
    stats["sessions"] += 1
    return reader, writer

async def session():
    loop = asyncio.get_running_loop()
    stream, due, waiting = None, loop.time(), None
    while not stopping.is_set() or waiting is not None:
        if waiting is None:
            await asyncio.sleep(max(0, due - loop.time()))
            due += sessions / rate
            waiting = next(numbers)
        try:
            if stream is None:
                stream = await connect()
        except (OSError, ConnectionError, asyncio.TimeoutError) as error:
            stats["refused"].append(f"connect: {error!r}")
            await asyncio.sleep(0.2)
            continue
        reader, writer = stream
        stage = "mail"
        try:
            address = f"subscriber@{domain}"
            payload = json.dumps({"aps": {"alert": f"{label}-{waiting}"}}).encode()
            crlf = bytes([13, 10])
            writer.write(b"MAIL FROM:<app@example.com>" + crlf)
            code, text = await reply(reader)
            if code == 421:
                raise ConnectionError(text)
            stage = "rcpt"
            writer.write(f"RCPT TO:<{address}>".encode() + crlf)
            code, text = await reply(reader)
            if code != 250:
                raise ValueError(text)
            stage = "data"
            writer.write(b"DATA" + crlf)
            code, text = await reply(reader)
            if code != 354:
                raise ValueError(text)
            writer.write(push_message(payload, sender="app@example.com", recipient=address, token=token) + b"." + crlf)
            code, text = await reply(reader)
            if code != 250:
                raise ValueError(text)
            stats["acknowledged"] += 1
            stats["taken"].append(waiting)
            waiting = None
        except ValueError as error:
            stats["refused"].append(f"{stage}: {error}")
            waiting = None
            writer.close()
            stream = None
        except (OSError, ConnectionError, asyncio.TimeoutError) as error:
            # Between two transactions a server may close; in one it may not.
            stats["closed" if stage == "mail" else "cut"] = (
                stats["closed"] + 1 if stage == "mail" else [*stats["cut"], f"{stage}: {error!r}"]
            )
            writer.close()
            stream = None

async def show(reader, writer):
    # Over HTTP: tests look often, and a command in a container costs a process or three.
    await reader.readuntil(bytes([13, 10, 13, 10]))
    body = json.dumps(stats).encode()
    head = f"HTTP/1.0 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()

async def main():
    await asyncio.start_server(show, None, 8000)
    tasks = [asyncio.create_task(session()) for _ in range(sessions)]
    while not os.path.exists("/tmp/stop"):
        await asyncio.sleep(0.2)
    stopping.set()
    await asyncio.gather(*tasks)
    stats["done"] = True
    await asyncio.sleep(600)

asyncio.run(main())
"""

# Runs beside the simulator: changes its switches.
_CHAOS = """
import sys, urllib.request
url, headers = "http://127.0.0.1:2198/api/v1/chaos", {"Content-Type": "application/json"}
urllib.request.urlopen(urllib.request.Request(url, sys.argv[1].encode(), headers, method="PATCH"))
"""

# Runs beside the simulator: texts of all that it took.
_ALERTS = """
import json, urllib.request
url = "http://127.0.0.1:2198/api/v1/notifications?limit=100000&status=200"
records = json.load(urllib.request.urlopen(url))["notifications"]
print(json.dumps([record["payload"]["aps"]["alert"] for record in records]))
"""


def figure(text: str) -> None:
    """Something measured: `pytest -rP` shows it."""
    sys.stdout.write(f"{text}\n")


def certificate(topic: str = "com.example.app", **options: Any) -> KeyPair:
    """A client certificate that the simulator takes; its topic is that of messages which name none."""
    return make_apns_certificate(CA, [topic], **{"days": 30, **options})


def expired() -> KeyPair:
    """One whose time is over."""
    return certificate(days=10, start=datetime(2025, 1, 1, tzinfo=UTC))


def secret(name: str, pair: KeyPair | None = None, /, **data: bytes) -> Document:
    """A Secret with a certificate and its key, or with other values (`tls_crt` for `tls.crt`)."""
    contents = {key.replace("_", "."): value for key, value in data.items()}
    if pair is not None:
        contents = {"tls.crt": pair.certificate_pem, "tls.key": pair.private_key_pem, **contents}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {key: base64.b64encode(value).decode() for key, value in contents.items()},
    }


@dataclass(frozen=True)
class Operated:
    """A release with a PushDomain `alerts` that sends by a certificate of the test's own."""

    release: Release

    @property
    def namespace(self) -> str:
        """The namespace of the test."""
        return self.release.namespace

    @property
    def place(self) -> str:
        """The same as an option of kubectl."""
        return f"--namespace={self.release.namespace}"

    def install(self, more: Mapping[str, Any] | None = None, **spec: Any) -> None:
        """Install the chart with a simulator that takes our certificates, apply the objects, wait until Ready."""
        self.release.install({"simulator": {"clientCa": CA.certificate_pem.decode()}, **(more or {})})
        self.apply(secret("apns", certificate()), self.route(), self.logger(), self.push_domain(**spec))
        self.ready()

    def push_domain(self, name: str = "alerts", **spec: Any) -> Document:
        """The PushDomain."""
        whole = {"domains": [{"name": DOMAIN}], "routes": ["apns"], "loggers": ["log"], **spec}
        return _own("PushDomain", name, whole)

    def route(self, name: str = "apns", **spec: Any) -> Document:
        """An ApnRoute to the simulator."""
        whole = {
            "endpoint": f"https://{self.release.name}-simulator:2197",
            "certificate": {"secretName": "apns"},
            "tls": {"ca": {"secretName": f"{self.release.name}-simulator-credentials"}},
            **spec,
        }
        return _own("ApnRoute", name, whole)

    def logger(self, **spec: Any) -> Document:
        """The ApnLogger."""
        return _own("ApnLogger", "log", {"format": "Json", **spec})

    def apply(self, *documents: Document) -> None:
        """kubectl apply."""
        self.release.cluster.apply(documents, self.place)

    def patch(self, kind: str, name: str, **spec: Any) -> None:
        """Change a spec."""
        self.release.cluster.kubectl(
            "patch", kind, name, self.place, "--type=merge", f"--patch={json.dumps({'spec': spec})}"
        )

    def get(self, kind: str, name: str) -> Document:
        """An object."""
        return self.release.cluster.get(kind, name, self.place)

    def ready(self, name: str = "alerts", timeout: float = 60) -> None:
        """Wait until the PushDomain is Ready, as its present generation."""

        def settled() -> bool:
            document = self.get("pushdomain", name)
            status = document.get("status", {})
            generation = document["metadata"]["generation"]
            return (
                status.get("observedGeneration") == generation and _condition(document, "Ready")[0] == "True"
            )

        self.release.cluster.until(f"PushDomain {name} Ready", settled, timeout)

    def condition(self, kind: str = "Ready", name: str = "alerts") -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        return _condition(self.get("pushdomain", name), kind)

    def pods(self, name: str = "alerts", *, leaving: bool = False) -> list[Document]:
        """The dispatcher pods, oldest first; `leaving`: those too that are about to go."""
        found = self.release.cluster.get(
            "pods", self.place, "-l", f"app.kubernetes.io/instance={name},tubepost.io/push-domain"
        )
        alive = [pod for pod in found["items"] if leaving or "deletionTimestamp" not in pod["metadata"]]
        return sorted(alive, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def serving(self, count: int, name: str = "alerts", timeout: float = 60) -> None:
        """Wait until there are so many dispatcher pods and every one of them is ready.

        The pods are asked themselves: a Deployment's own count is of a moment ago.
        """

        def settled() -> bool:
            pods = self.pods(name)
            return len(pods) == count and all(map(_ready, pods))

        self.release.cluster.until(f"{count} pods of {name}", settled, timeout)

    def evict(self, name: str) -> None:
        """Evict a pod as a drain does: again while its disruption budget allows none."""
        self.release.cluster.until(f"the eviction of {name}", lambda: self.evict_once(name))

    def evict_once(self, name: str) -> str:
        """Evict a pod.

        Raises:
            CommandFailed: its disruption budget allows it not now.
        """
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction"
        return self.release.cluster.kubectl(
            "create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction)
        )

    def pod(self) -> Document:
        """The only one."""
        (pod,) = self.pods()
        return pod

    def operators(self) -> list[str]:
        """Names of the operator's pods."""
        found = self.release.cluster.get(
            "pods",
            self.place,
            "-l",
            f"app.kubernetes.io/name=tubepost-operator,app.kubernetes.io/instance={self.release.name}",
        )
        return [pod["metadata"]["name"] for pod in found["items"]]

    def leader(self) -> str:
        """Name of the pod that holds the Lease."""
        lease = self.get("lease", f"{self.release.name}-operator")
        return str(lease["spec"]["holderIdentity"])

    def send(self, alert: str) -> str:
        """One message, from inside a dispatcher's pod; the reply."""
        return self.release.send(f"pod/{self.pods()[-1]['metadata']['name']}", alert)

    def accepted(self) -> list[Document]:
        """The last few that the simulator took, newest last."""
        service = f"/api/v1/namespaces/{self.namespace}/services/{self.release.name}-simulator:2198"
        path = f"{service}/proxy/api/v1/notifications?limit=50"
        page = json.loads(self.release.cluster.raw(path))["notifications"]
        return [item for item in page if item["status"] == 200]

    def alerts(self) -> list[str]:
        """Texts of all notifications that the simulator took, however many."""
        text = self.release.cluster.exec(
            self.namespace, f"deploy/{self.release.name}-simulator", "python", "-c", _ALERTS
        )
        return list(json.loads(text))

    def chaos(self, **switches: Any) -> None:
        """Change switches of the simulator (`latencyMs`, `errors`, ...)."""
        self.release.cluster.exec(
            self.namespace,
            f"deploy/{self.release.name}-simulator",
            *("python", "-c", _CHAOS, json.dumps(switches)),
        )

    @contextlib.contextmanager
    def traffic(self, rate: float = 50.0, sessions: int = 5, name: str = "alerts") -> Iterator[Traffic]:
        """Messages at a rate, from a pod, by the Service's name, for the duration; whatever is refused counts."""
        self.release.cluster.reachable(self.namespace, name, 25)
        traffic = Traffic(self, name)
        box = container("traffic", self.release.cluster.image("dispatcher"))
        host = f"{name}.{self.namespace}.svc.cluster.local"
        arguments = [host, "25", str(rate), str(sessions), TOKEN, DOMAIN, name]
        box["command"] = ["python", "-c", _TRAFFIC, *arguments]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": traffic.pod},
            "spec": pod_spec(box, restartPolicy="Never"),
        }
        self.apply(pod)
        self.release.cluster.until("traffic", lambda: traffic.stats()["acknowledged"] > 20)
        yield traffic
        traffic.stop()


@dataclass(frozen=True)
class Traffic:
    """What became of the messages to a PushDomain."""

    operated: Operated
    name: str = "alerts"

    @property
    def pod(self) -> str:
        """Where they come from."""
        return f"traffic-{self.name}"

    def stats(self) -> Document:
        """The counts of now."""
        cluster = self.operated.release.cluster
        path = f"/api/v1/namespaces/{self.operated.namespace}/pods/{self.pod}:8000/proxy/"
        return dict(json.loads(cluster.raw(path)))

    def more(self, count: int = 60, timeout: float = 30) -> None:
        """Wait until so many more have been acknowledged."""
        goal = self.stats()["acknowledged"] + count
        self.operated.release.cluster.until("traffic", lambda: self.stats()["acknowledged"] >= goal, timeout)

    def stop(self) -> None:
        """Have the traffic end, after its last answers."""
        cluster = self.operated.release.cluster
        cluster.exec(self.operated.namespace, self.pod, "touch", "/tmp/stop")
        cluster.until("the end of the traffic", lambda: self.stats()["done"], 90)

    def check(self, *, reconnects: bool) -> Document:
        """Nothing was refused, nothing cut, nothing lost; `reconnects`: whether sessions may have been closed."""
        stats = self.delivered()
        assert stats["refused"] == [], stats
        assert stats["cut"] == [], stats
        if not reconnects:
            assert stats["closed"] == 0, stats
        return stats

    def delivered(self, timeout: float = 30) -> Document:
        """Whatever was acknowledged is at APNs, from a queue within `timeout` seconds; the other counts."""
        stats = self.stats()
        taken = {f"{self.name}-{number}" for number in stats.pop("taken")}
        assert len(taken) == stats["acknowledged"]
        with contextlib.suppress(TooSlow):
            cluster = self.operated.release.cluster
            cluster.until("the rest of the queue", lambda: taken <= set(self.operated.alerts()), timeout)
        alerts = self.operated.alerts()
        lost = taken - set(alerts)
        assert not lost, (sorted(lost)[:20], stats)
        stats["doubles"] = sum(alert in taken for alert in alerts) - len(taken)
        return stats


def _condition(document: Document, kind: str) -> tuple[str, str, str]:
    for item in document["status"]["conditions"]:
        if item["type"] == kind:
            return item["status"], item["reason"], item["message"]
    raise KeyError(kind)


def _ready(pod: Document) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _own(kind: str, name: str, spec: Document) -> Document:
    return {
        "apiVersion": "tubepost.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
