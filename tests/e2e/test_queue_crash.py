"""Every process killed at random moments under load: what got its 250 arrives, and what was in flight may twice.

`TUBEPOST_CRASH_MESSAGES`, `TUBEPOST_CRASH_SESSIONS` and `TUBEPOST_CRASH_KILLS` make the run larger.
"""

from __future__ import annotations

import collections
import os
import random
from pathlib import Path

import pytest

from tests.e2e.app import wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered, apns_ids, kill_all, queued

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue"), pytest.mark.timeout(400)]

MESSAGES = int(os.environ.get("TUBEPOST_CRASH_MESSAGES", "1500"))
SESSIONS = int(os.environ.get("TUBEPOST_CRASH_SESSIONS", "20"))
KILLS = int(os.environ.get("TUBEPOST_CRASH_KILLS", "3"))


def test_kill_9_of_all_processes_loses_nothing_that_got_its_250(tmp_path: Path) -> None:
    site = QueueSite(tmp_path)
    site.spec["workers"] = 2
    chance = random.Random()
    in_flight = collections.Counter[str]()
    """How often each identity was on the disk when everything was killed."""
    with site.peer() as peer:
        dispatcher = site.dispatcher().__enter__()
        try:
            with Injector(site.smtp_port, SESSIONS, total=MESSAGES) as injector:
                for kill in range(KILLS):
                    moment = MESSAGES * (kill + chance.uniform(0.2, 1.0)) / (KILLS + 1)
                    wait_until(lambda at=moment: injector.sent > at, 120.0)
                    kill_all(dispatcher)
                    accepted, on_disk = set(injector.accepted), site.stored()
                    in_flight.update(on_disk)
                    lost = accepted - on_disk - answered(peer).keys()
                    assert not lost, f"neither on the disk nor at APNs: {sorted(lost)[:10]}"
                    dispatcher = site.dispatcher().__enter__()
                injector.join(120.0)
            wait_until(lambda: queued(dispatcher) == 0, 60.0)
            assert dispatcher.stop() == 0
        finally:
            dispatcher.__exit__()
        assert site.stored() == set()
        arrived, names = answered(peer), apns_ids(peer)
    print(  # noqa: T201 - the figures of the run
        f"{len(injector.accepted)} accepted, {len(injector.unanswered)} unanswered, "
        f"{sum(in_flight.values())} in flight at {KILLS} kills, "
        f"{sum(arrived.values()) - len(arrived)} arrived again, replies {dict(injector.replies)}"
    )
    assert len(injector.accepted) > MESSAGES * 0.8
    assert not injector.accepted.keys() - arrived.keys(), "a false 250"
    assert not arrived.keys() - injector.accepted.keys() - injector.unanswered, "from nowhere"
    for identity, count in arrived.items():
        assert count <= 1 + in_flight[identity], f"{identity} arrived {count} times"
        assert len(names[identity]) == 1, f"{identity} had several apns-ids"
    assert all(code == 421 for code in injector.replies), injector.texts
