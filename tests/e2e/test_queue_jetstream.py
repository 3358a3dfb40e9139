"""The queue on a real JetStream, under load, while dispatchers and servers are killed: what got its 250 arrives.

`TUBEPOST_JETSTREAM_KILLS` kills more often, `TUBEPOST_JETSTREAM_RATE` sends more messages a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.app import Dispatcher, wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered, apns_ids, kill_all, queued
from tests.peers.nats_credentials import USER, NKey
from tests.peers.nats_server import NatsCluster, NatsServer
from tests.peers.servers import GoPeer
from tubepost_credentials.throwaway import make_ca, make_server_certificate

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue"), pytest.mark.timeout(600)]

RATE = float(os.environ.get("TUBEPOST_JETSTREAM_RATE", "100"))
KILLS = int(os.environ.get("TUBEPOST_JETSTREAM_KILLS", "2"))
SERVER_KILLS = int(os.environ.get("TUBEPOST_JETSTREAM_KILLS", "10"))
SESSIONS = 10
PATIENCE = 300.0
"""Seconds: a killed worker's messages are anyone's after 60 to 75, and the machine may be busy."""


def site_of(directory: Path, servers: list[str], replicas: int) -> QueueSite:
    """A dispatcher whose queue is a stream of these servers."""
    site = QueueSite(directory)
    site.spec["queue"] = {"jetStream": {"servers": servers, "replicas": replicas}}
    return site


def more(injector: Injector, count: int) -> None:
    """Wait until so many messages more have their 250."""
    wanted = len(injector.accepted) + count
    wait_until(lambda: len(injector.accepted) >= wanted, PATIENCE)


def doubles(dispatcher: Dispatcher) -> float:
    """Possible doubles that were counted."""
    name = "tubepost_possible_doubles_total"
    return sum(value for key, value in dispatcher.metrics().items() if key.startswith(name))


def settle(injector: Injector, peer: GoPeer, dispatcher: Dispatcher, rest: Callable[[int], bool]) -> None:
    """No message more; all that got a 250 arrives.

    `rest`: whether so many that arrived again are as many as may.
    """
    injector.stop()
    injector.join(PATIENCE)
    wait_until(lambda: not injector.accepted.keys() - answered(peer).keys(), PATIENCE)
    wait_until(lambda: queued(dispatcher) == 0, PATIENCE)
    arrived, names = answered(peer), apns_ids(peer)
    again = sum(arrived.values()) - len(arrived)
    print(  # noqa: T201 - the figures of the run
        f"{len(injector.accepted)} accepted, {len(injector.unanswered)} unanswered, {again} arrived again, "
        f"{doubles(dispatcher):.0f} possible doubles, replies {dict(injector.replies)}"
    )
    assert not arrived.keys() - injector.accepted.keys() - injector.unanswered - refused(injector), (
        "from nowhere"
    )
    assert rest(again), f"{again} arrived again"
    assert all(len(names[identity]) == 1 for identity in arrived), "one had several apns-ids"


def refused(injector: Injector) -> set[str]:
    """Messages that were answered otherwise than by 250: one whose acknowledgement was lost may be kept."""
    sent = {f"m{number}" for number in range(injector.sent)}
    return sent - injector.accepted.keys() - injector.unanswered


def test_dispatchers_are_killed_and_others_deliver_what_they_had(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats", sync_interval="always") as server:
        site = site_of(tmp_path / "site", [server.url], 1)
        counted = 0.0
        with site.peer() as peer:
            dispatcher = site.dispatcher().__enter__()
            try:
                with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                    for _ in range(KILLS):
                        more(injector, 100)
                        counted += doubles(dispatcher)
                        kill_all(dispatcher)
                        dispatcher = site.dispatcher().__enter__()
                    more(injector, 100)
                    before = counted
                    settle(injector, peer, dispatcher, lambda again: again <= before + doubles(dispatcher))
                    assert dispatcher.stop() == 0
            finally:
                dispatcher.__exit__()
        assert not set(injector.replies) - {421, 451}, injector.texts


def test_a_server_is_killed_and_nothing_that_it_acknowledged_is_lost(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats", sync_interval="always") as server:
        site = site_of(tmp_path / "site", [server.url], 1)
        with site.peer() as peer, site.dispatcher() as dispatcher:
            with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                for _ in range(SERVER_KILLS):
                    more(injector, 40)
                    server.kill()
                    server.start()
                more(injector, 100)
                settle(injector, peer, dispatcher, lambda again: again <= doubles(dispatcher))
            assert dispatcher.stop() == 0
        assert not set(injector.replies) - {451}, injector.texts


def test_a_cluster_without_its_leader_goes_on(tmp_path: Path) -> None:
    with NatsCluster(tmp_path / "nats", sync_interval="always") as cluster:
        site = site_of(tmp_path / "site", cluster.urls, 3)
        with site.peer() as peer, site.dispatcher() as dispatcher:
            with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                more(injector, 100)
                cluster.leader("TUBEPOST_DEFAULT_ALERTS").kill()
                more(injector, 200)
                settle(injector, peer, dispatcher, lambda again: again <= doubles(dispatcher))
            assert dispatcher.stop() == 0
        assert not set(injector.replies) - {451}, injector.texts


def test_renewed_credentials_are_used_and_nothing_is_lost(tmp_path: Path) -> None:
    authority = make_ca()
    pair = make_server_certificate(authority, ["127.0.0.1", "localhost"])
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    certificate.write_bytes(pair.certificate_pem)
    key.write_bytes(pair.private_key_pem)
    users = [NKey.make(USER), NKey.make(USER)]
    secrets = tmp_path / "nats.yaml"

    def write(user: NKey) -> None:
        values = {"seed": user.seed, "ca.crt": authority.certificate_pem.decode()}
        meta = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nats"}}
        new = secrets.with_suffix(".new")
        new.write_text(yaml.safe_dump({**meta, "stringData": values}), encoding="utf-8")
        new.replace(secrets)

    def access(user: NKey) -> str:
        return f"authorization {{ users: [{{ nkey: {user.public} }}] }}"

    write(users[0])
    with NatsServer(tmp_path / "nats", tls=(certificate, key), access=access(users[0])) as server:
        site = site_of(tmp_path / "site", [server.url], 1)
        stream = site.spec["queue"]["jetStream"]
        stream |= {"nkey": {"secretName": "nats"}, "tls": {"ca": {"secretName": "nats"}}}
        with site.peer() as peer, site.dispatcher("-f", str(secrets)) as dispatcher:
            with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                more(injector, 50)
                server.access = access(users[1])
                server.reload()
                write(users[1])
                more(injector, 100)
                settle(injector, peer, dispatcher, lambda again: again <= doubles(dispatcher))
            assert dispatcher.stop() == 0
        assert not set(injector.replies) - {451}, injector.texts
