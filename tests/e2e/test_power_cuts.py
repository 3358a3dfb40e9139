"""The power is cut under load, and what was not synced is gone: what got its 250 arrives, from a disk or a stream.

`TUBEPOST_POWER_CUTS` cuts more often. `TUBEPOST_POWER_SYNC` is another `sync_interval` of nats-server than `always`:
with `2m`, its own, the tests of streams fail, as they have to.
"""

from __future__ import annotations

import collections
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.app import wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered, apns_ids, kill_all, processes, queued
from tests.e2e.test_queue_jetstream import PATIENCE, RATE, SESSIONS, doubles, more, settle, site_of
from tests.peers.nats_server import NatsCluster
from tests.peers.power import Disk

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("power"), pytest.mark.timeout(600)]

CUTS = int(os.environ.get("TUBEPOST_POWER_CUTS", "2"))
RETRIES = {"retryInterval": "1s", "maxRetryInterval": "2s"}
SYNC = os.environ.get("TUBEPOST_POWER_SYNC", "always")


def test_a_queue_on_disk_loses_nothing_that_got_its_250(tmp_path: Path) -> None:
    site = QueueSite(tmp_path)
    site.spec["delivery"] = RETRIES
    on_disk = collections.Counter[str]()
    """How often each identity was on the disk when the power came back."""
    with Disk(tmp_path / "volume") as disk, site.peer() as peer:
        site.queue = disk.path / "queue"
        dispatcher = site.dispatcher()
        dispatcher.prefix = disk.prefix
        dispatcher.__enter__()
        try:
            with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                for number in range(CUTS):
                    # What has ended may be there again, and what waits for its next try has to be.
                    if number % 2:
                        peer.go_down()
                    more(injector, 100)
                    disk.cut(processes(dispatcher))
                    kill_all(dispatcher)
                    accepted = set(injector.accepted)
                    disk.back()
                    stored = site.stored(queue=disk.outside / "queue")
                    on_disk.update(stored)
                    lost = accepted - stored - answered(peer).keys()
                    assert not lost, f"neither on the disk nor at APNs: {sorted(lost)[:10]}"
                    dispatcher = site.dispatcher()
                    dispatcher.prefix = disk.prefix
                    dispatcher.__enter__()
                    if number % 2:
                        peer.come_up()
                    more(injector, 50)
                injector.stop()
                injector.join(PATIENCE)
            wait_until(lambda: queued(dispatcher) == 0, PATIENCE)
            assert dispatcher.stop() == 0
        finally:
            dispatcher.__exit__()
        arrived, names = answered(peer), apns_ids(peer)
    print(  # noqa: T201 - the figures of the run
        f"{len(injector.accepted)} accepted, {sum(on_disk.values())} on the disk at {CUTS} cuts, "
        f"{sum(arrived.values()) - len(arrived)} arrived again, replies {dict(injector.replies)}"
    )
    assert not injector.accepted.keys() - arrived.keys(), "a false 250"
    assert not arrived.keys() - injector.accepted.keys() - injector.unanswered, "from nowhere"
    for identity, count in arrived.items():
        assert count <= 1 + on_disk[identity], f"{identity} arrived {count} times"
        assert len(names[identity]) == 1, f"{identity} had several apns-ids"


@pytest.mark.parametrize(("count", "cuts"), [(1, CUTS), (3, CUTS - 1)])
def test_servers_that_sync_always_lose_nothing_that_got_its_250(
    tmp_path: Path, count: int, cuts: int
) -> None:
    """One server; or three of a cluster, all at once, which takes longer to come back."""
    with ExitStack() as stack:
        disks = [stack.enter_context(Disk(tmp_path / f"volume{number}")) for number in range(count)]
        cluster = stack.enter_context(NatsCluster(tmp_path / "nats", disks, sync_interval=SYNC))
        site = site_of(tmp_path / "site", cluster.urls, count)
        site.spec["delivery"] = RETRIES
        with site.peer() as peer, site.dispatcher() as dispatcher:
            with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
                for _ in range(cuts):
                    # What waits for its next try is in the stream alone.
                    peer.go_down()
                    more(injector, 100)
                    cluster.cut_power()
                    peer.come_up()
                    more(injector, 50)
                settle(injector, peer, dispatcher, lambda again: again <= doubles(dispatcher))
            assert dispatcher.stop() == 0
        assert not set(injector.replies) - {451}, injector.texts
