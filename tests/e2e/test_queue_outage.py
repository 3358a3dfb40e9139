"""APNs is down for a while, under load: every message is taken, and every one arrives when it is back.

`TUBEPOST_OUTAGE_SECONDS` makes it longer.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.e2e.app import wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered, queued

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue"), pytest.mark.timeout(400)]

SECONDS = float(os.environ.get("TUBEPOST_OUTAGE_SECONDS", "10"))
RATE = 100.0


def test_an_outage_of_apns_refuses_and_loses_nothing(tmp_path: Path) -> None:
    site = QueueSite(tmp_path)
    site.spec["workers"] = 2
    site.spec["delivery"] = {"retryInterval": "5s", "maxRetryInterval": "20s"}
    with (
        site.peer() as peer,
        site.dispatcher() as dispatcher,
        Injector(site.smtp_port, 20, rate=RATE) as injector,
    ):
        wait_until(lambda: len(answered(peer)) > 100)
        peer.go_down()
        down = time.monotonic()
        wait_until(lambda: time.monotonic() > down + SECONDS, SECONDS + 5.0)
        waited, before = queued(dispatcher), len(answered(peer))
        peer.come_up()
        back = time.monotonic()
        wait_until(lambda: len(answered(peer)) > before, 60.0)
        first = time.monotonic() - back
        wait_until(lambda: queued(dispatcher) < RATE, 120.0)
        drained = time.monotonic() - back
        injector.stop()
        injector.join(60.0)
        wait_until(lambda: queued(dispatcher) == 0, 60.0)
        assert dispatcher.stop() == 0
        arrived = answered(peer)
    print(  # noqa: T201 - the figures of the run
        f"{len(injector.accepted)} accepted, {waited:.0f} queued after {SECONDS} s, the first arrived "
        f"{first:.1f} s after APNs was back, the queue was empty after {drained:.1f} s"
    )
    assert injector.replies == {}, injector.texts
    assert injector.unanswered == set()
    assert waited > RATE * SECONDS * 0.5
    assert not injector.accepted.keys() - arrived.keys(), "lost"
    # What was under way when the connection broke may have arrived without our knowing.
    assert sum(count - 1 for count in arrived.values()) <= 20
