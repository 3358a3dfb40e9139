"""Input of the programs under test: credentials, manifests, messages."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tubepost_credentials.throwaway import make_ca, make_server_certificate, make_token_key
from tubepost_dispatcher.config.manifest_source import ManifestSource

DOMAIN = "apn_example.com"
RECIPIENT = f"subscriber@{DOMAIN}"
WAITING = "subscriber@waiting.example"
"""A recipient whose route cannot be reached: what is queued for it waits."""
KEY_ID = "ABCDE12345"
TEAM_ID = "FGHIJ67890"
TOPIC = "com.example.app"
TOKENS = 997
"""Different device tokens among the messages."""
REST_TOKEN = "throw-away-token-of-the-benchmark"  # noqa: S105 - of a listener that lives for seconds

_MESSAGE = """From: alerts@sender.example
To: subscriber@apn_example.com
Subject: You have mail
Message-ID: <seed-sample-1@sender.example>
Date: Mon, 23 Nov 2026 12:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/vnd.msys.mcmt; boundary="MCMT_BOUNDARY"

--MCMT_BOUNDARY
Content-Type: message/vnd.msys.apn

X-Device-Token: {token}

{{
  "aps" : {{
    "alert" : "You have mail",
    "badge" : 9,
    "sound" : "dingdong.aiff"
   }},
   "app-key" : "bar"
}}
--MCMT_BOUNDARY--
"""

_HEAD = (
    "POST /v1/notifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
)
_REQUESTS = 200


@dataclass(frozen=True)
class Fixtures:
    """Files of one benchmark, in a directory that is thrown away."""

    directory: Path
    ca: Path
    certificate: Path
    key: Path
    token_key: Path

    def manifests(
        self,
        sink_port: int,
        *,
        queue: Mapping[str, object] | None = None,
        workers: int = 1,
        entries: int = 1,
        waiting: bool = False,
    ) -> Path:
        """Write the manifests for `tubepost run`: everything on that a careful user turns on.

        `queue`: acceptance Queued with this `spec.queue`; `entries`: domains of the PushDomain, of which one
        is used; `waiting`: one more, that of WAITING.
        """
        acceptance = {"acceptance": {"mode": "Queued"}, "queue": queue} if queue is not None else {}
        others: list[dict[str, object]] = [
            {"name": f"domain{number}.example"} for number in range(1, entries)
        ]
        if waiting:
            others.append({"name": WAITING.partition("@")[2], "routes": ["nowhere"]})
        limits = {"maxConnections": 10_000, "maxConnectionsPerClient": 10_000}
        target = self.directory / "manifests"
        target.mkdir(exist_ok=True)
        documents = [
            _resource(
                "PushDomain",
                "bench",
                domains=[
                    *others,
                    {"name": DOMAIN},
                ],
                routes=["sink"],
                loggers=["file"],
                listener={"startTls": {"mode": "Optional", "secretName": "smtp-tls"}, "limits": limits},
                rest={"tokens": {"secretName": "rest"}},
                workers=workers,
                **acceptance,
            ),
            *(
                _resource(
                    "ApnRoute",
                    name,
                    endpoint=f"https://localhost:{port}",
                    token={"secretName": "apns-key"},
                    topic=TOPIC,
                    tls={"ca": {"secretName": "authority", "key": "ca.crt"}},
                )
                for name, port in (("sink", sink_port), *([("nowhere", 1)] if waiting else []))
            ),
            _resource(
                "ApnLogger",
                "file",
                sink={"type": "File", "file": {"path": str(self.directory / "tubepost.log"), "maxSize": 0}},
            ),
            _secret("apns-key", {"key.p8": self.token_key.read_text(), "keyId": KEY_ID, "teamId": TEAM_ID}),
            _secret("rest", {"bench": REST_TOKEN}),
            _secret("authority", {"ca.crt": self.ca.read_text()}),
            _secret("smtp-tls", {"tls.crt": self.certificate.read_text(), "tls.key": self.key.read_text()}),
        ]
        (target / "bench.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        return target

    def mount(self, manifests: Path, entries: int = 1) -> Path:
        """Write what a pod has mounted of manifests: the document that the operator makes, and the Secrets.

        `entries`: domains that the document has at least, be they more than a PushDomain may have.

        Raises:
            ValueError: the manifests are refused.
        """
        loaded = ManifestSource([manifests]).load()
        if loaded.bundle is None:
            raise ValueError(*map(str, loaded.problems))
        target = self.directory / "mounted"
        config = loaded.bundle.config
        last = config.entries[-1]
        more = [
            last.model_copy(update={"name": f"more{number}.example"})
            for number in range(entries - len(config.entries))
        ]
        config = config.model_copy(update={"entries": (*more, *config.entries)})
        files = {"config/config.json": config.to_json().encode()}
        for name, keys in loaded.bundle.secrets.items():
            files |= {f"secrets/{name}/{key}": value for key, value in keys.items()}
        for name, content in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)
        return target

    def bodies(self, batch: int) -> Path:
        """The file that the load generator sends: messages, or requests of `batch` notifications each."""
        target = self.directory / f"bodies-{batch}"
        if not target.exists():
            parts = requests(batch) if batch else messages()
            target.write_bytes(b"".join(b"%d\n%s" % (len(part), part) for part in parts))
        return target


def make_fixtures(directory: Path) -> Fixtures:
    """Make throw-away credentials in `directory`."""
    authority = make_ca()
    server = make_server_certificate(authority, ["localhost", "127.0.0.1"])
    fixtures = Fixtures(
        directory, *(directory / name for name in ("ca.pem", "cert.pem", "key.pem", "key.p8"))
    )
    fixtures.ca.write_bytes(authority.certificate_pem)
    fixtures.certificate.write_bytes(server.certificate_pem)
    fixtures.key.write_bytes(server.private_key_pem)
    fixtures.token_key.write_bytes(make_token_key())
    return fixtures


def messages() -> list[bytes]:
    """The seed's message with well-formed JSON and TOKENS different tokens, as sent after 354."""
    chance = random.Random(1)
    return [
        (_MESSAGE.format(token=chance.randbytes(32).hex()) + ".\n").replace("\n", "\r\n").encode()
        for _ in range(TOKENS)
    ]


def notifications() -> list[dict[str, object]]:
    """The same as requests have them."""
    chance = random.Random(1)
    payload = {"aps": {"alert": "You have mail", "badge": 9, "sound": "dingdong.aiff"}, "app-key": "bar"}
    sender = "alerts@sender.example"
    return [
        {
            "domain": DOMAIN,
            "sender": sender,
            "deviceToken": chance.randbytes(32).hex(),
            "payload": payload,
        }
        for _ in range(TOKENS)
    ]


def requests(batch: int) -> list[bytes]:
    """Requests of `batch` notifications each, 1: by itself."""
    found = itertools.cycle(notifications())
    bodies = []
    for _ in range(max(1, _REQUESTS // batch)):
        some = [next(found) for _ in range(batch)]
        document = some[0] if batch == 1 else {"notifications": some}
        body = json.dumps(document).encode()
        bodies.append(_HEAD.format(token=REST_TOKEN, size=len(body)).encode() + body)
    return bodies


def _resource(kind: str, name: str, **spec: object) -> dict[str, object]:
    return {"apiVersion": "tubepost.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _secret(name: str, data: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
