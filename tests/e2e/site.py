"""Manifests that a test changes one at a time, and an APNs of another make that remembers what it answered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.app import get, tubepost
from tests.e2e.senders import Ledger
from tests.peers.servers import GoPeer


@dataclass
class Site:
    """Manifests and credentials in a directory, changed one at a time."""

    directory: Path
    port: int
    other_port: int
    spec: dict[str, Any] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec = {
            "domains": [{"name": "apn_example.com"}],
            "routes": ["apns"],
            "loggers": ["log"],
            "workers": 2,
        }
        self.route = {
            "endpoint": f"https://localhost:{self.port}",
            "certificate": {"secretName": "apns-certificate"},
            "tls": {"ca": {"secretName": "simulator-ca", "key": "ca.crt"}},
        }
        self.logger = {"sink": {"type": "File", "file": {"path": str(self.directory / "apn.log")}}}

    @property
    def files(self) -> list[Path]:
        return [self.directory / "push.yaml", self.directory / "secrets.yaml"]

    def credentials(self, marker: str) -> None:
        """Another client certificate; the authority of the peers' own certificates stays."""
        made = self.directory / f"made{marker}"
        assert tubepost("credentials", "make", "-o", str(made)).returncode == 0
        fresh = list(yaml.safe_load_all((made / "secrets.yaml").read_text()))
        documents = [d for d in fresh if d["metadata"]["name"] == "apns-certificate"] + [
            d for d in self.secrets() if d["metadata"]["name"] != "apns-certificate"
        ]
        self.write_secrets(documents)

    def write_secrets(self, documents: list[dict[str, Any]]) -> None:
        self._replace("secrets.yaml", yaml.safe_dump_all(documents))

    def secrets(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((self.directory / "secrets.yaml").read_text()))

    def write(self) -> None:
        api = "tubepost.io/v1alpha1"
        kinds = (
            ("PushDomain", "alerts", self.spec),
            ("ApnRoute", "apns", self.route),
            ("ApnLogger", "log", self.logger),
        )
        documents = [
            {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
            for kind, name, spec in kinds
        ]
        self._replace("push.yaml", yaml.safe_dump_all(documents))

    def _replace(self, name: str, text: str) -> None:
        scratch = self.directory / f".{name}.new"
        scratch.write_text(text)
        scratch.replace(self.directory / name)


@contextlib.contextmanager
def peers(directory: Path) -> Iterator[tuple[GoPeer, GoPeer]]:
    made = directory / "made"
    with (
        GoPeer("apnsserver", made / "server.crt", made / "server.key") as first,
        GoPeer("apnsserver", made / "server.crt", made / "server.key") as second,
    ):
        yield first, second


def record(peer: GoPeer) -> dict[str, Any]:
    return dict(json.loads(get(f"http://127.0.0.1:{peer.control}/ids")))


def answered_by(*peers: GoPeer) -> dict[str, int]:
    total: dict[str, int] = {}
    for peer in peers:
        for identity, count in record(peer)["answered"].items():
            total[identity] = total.get(identity, 0) + count
    return total


def check(ledger: Ledger, answered: dict[str, int]) -> None:
    assert ledger.connections_refused == 0
    assert ledger.refused == []
    assert ledger.deferred == []
    lost = ledger.accepted - answered.keys()
    assert not lost, f"lost: {sorted(lost)[:10]}"
    doubled = {identity for identity, count in answered.items() if count > 1}
    assert not doubled, f"doubled: {sorted(doubled)[:10]}"
