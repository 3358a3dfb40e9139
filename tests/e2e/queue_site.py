"""A dispatcher with acceptance Queued, its queue on disk, and an APNs of another make that keeps count."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import free_port
from tests.e2e.app import Dispatcher, children, tubepost
from tests.peers.servers import GoPeer
from tubepost_dispatcher.store.bundle_table import unfold
from tubepost_dispatcher.store.database import Database


class QueueSite:
    """Manifests, credentials and the queue's directory, in a directory of the test.

    `spec` is changed before a dispatcher is started. Every dispatcher has the same SMTP port.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.queue = directory / "queue"
        self.smtp_port = free_port()
        self.apns_port = free_port()
        self.spec: dict[str, Any] = {
            "domains": [{"name": "apn_example.com"}],
            "routes": ["apns"],
            "workers": 1,
            "acceptance": {"mode": "Queued"},
            "queue": {"disk": {"reserve": "1Mi"}},
        }
        self._made = directory / "made"
        assert tubepost("credentials", "make", "-o", str(self._made)).returncode == 0

    def peer(self) -> GoPeer:
        """An APNs of another make, at the port that the route names; not started yet."""
        made = self._made
        return GoPeer("apnsserver", made / "server.crt", made / "server.key", port=self.apns_port)

    def dispatcher(self, *arguments: str) -> Dispatcher:
        """A dispatcher; not started yet."""
        route = {
            "endpoint": f"https://localhost:{self.apns_port}",
            "certificate": {"secretName": "apns-certificate"},
            "tls": {"ca": {"secretName": "simulator-ca", "key": "ca.crt"}},
        }
        documents = [
            {"apiVersion": "tubepost.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
            for kind, name, spec in (("PushDomain", "alerts", self.spec), ("ApnRoute", "apns", route))
        ]
        manifests = self.directory / "push.yaml"
        manifests.write_text(yaml.safe_dump_all(documents))
        files = [manifests, self._made / "secrets.yaml"]
        return Dispatcher(files, "--port", str(self.smtp_port), "--queue-dir", str(self.queue), *arguments)

    def stored(self, partition: str = "*", queue: Path | None = None) -> set[str]:
        """The identities of what is on the disk, or in one partition of it, while no dispatcher runs.

        `queue`: where this process sees the queue's directory, if elsewhere than its dispatcher.
        """
        found = set[str]()
        for database in sorted((queue or self.queue).glob(f"{partition}/current/queue.db")):
            with tempfile.TemporaryDirectory() as scratch:
                copy = Database(
                    Path(shutil.copytree(database.parent, Path(scratch) / "current")) / database.name
                )
                unfold(copy)
                bodies = [body for (body,) in copy.rows("SELECT CAST(body AS BLOB) FROM queue")]
                copy.abandon()
            found |= {json.loads(json.loads(body)["payload"])["id"] for body in bodies}
        return found


def answered(peer: GoPeer) -> dict[str, int]:
    """How often each identity was answered."""
    return dict(peer.get("/ids")["answered"])


def apns_ids(peer: GoPeer) -> dict[str, list[str]]:
    """The apns-ids that came with each identity."""
    return dict(peer.get("/ids")["apnsIds"])


def queued(dispatcher: Dispatcher) -> float:
    """Notifications in the queue, as the metrics have it."""
    name = "tubepost_queue_notifications"
    return sum(value for key, value in dispatcher.metrics().items() if key.startswith(name))


def processes(dispatcher: Dispatcher) -> list[int]:
    """The supervisor and every process below it."""
    tree = [dispatcher.pid]
    for member in tree:
        tree += children(member)
    return tree


def kill_all(dispatcher: Dispatcher) -> None:
    """Kill -9 the supervisor and every process below it."""
    for member in processes(dispatcher):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    dispatcher.stop(signal.SIGKILL)
