"""A queue as its users run it, against an APNs of another make: whatever got its 250 arrives, and once.

`TUBEPOST_LOAD_SECONDS` and `TUBEPOST_LOAD_RATE` make the runs longer and heavier.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.app import Dispatcher, wait_until
from tests.e2e.senders import Senders
from tests.e2e.site import Site, answered_by, check
from tests.peers.servers import GoPeer
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.store.directory import Directory

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("load"), pytest.mark.timeout(400)]

SECONDS = float(os.environ.get("TUBEPOST_LOAD_SECONDS", "12"))
RATE = float(os.environ.get("TUBEPOST_LOAD_RATE", "100"))

QUEUED = {"mode": "Queued"}


def queue(site: Site, **spec: object) -> None:
    """Have a queue, with a schedule for tests."""
    site.spec.update(
        {
            "acceptance": QUEUED,
            "queue": {"disk": {}},
            "delivery": {"retryInterval": "1s", "maxRetryInterval": "2s"},
            **spec,
        }
    )
    site.write()


def nobody() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


def in_force(dispatcher: Dispatcher, change: Callable[[], None]) -> None:
    """Make a change, and wait until all workers work by it."""
    before = dispatcher.status()["config"]["hash"]
    change()

    def everywhere() -> bool:
        status = dispatcher.status()
        found = status["config"]["hash"]
        return found != before and all(worker.get("configHash") == found for worker in status["workers"])

    wait_until(everywhere)


def queued(dispatcher: Dispatcher) -> float:
    return sum(
        value
        for name, value in dispatcher.metrics().items()
        if name.startswith("tubepost_queue_notifications{")
    )


def owners(dispatcher: Dispatcher) -> dict[int, int | None]:
    """Workers by partition."""
    return {one["partition"]: one["worker"] for one in dispatcher.status()["queue"]["partitions"]}


def arrived(senders: Senders, *peers: GoPeer) -> None:
    """Wait until APNs has answered whatever was accepted."""
    wait_until(lambda: not senders.ledger.accepted - answered_by(*peers).keys(), 60.0)


@pytest.mark.parametrize("restart", [None, signal.SIGTERM, signal.SIGKILL])
def test_while_apns_is_away_nobody_is_refused_and_nothing_is_lost(
    site: tuple[Site, GoPeer, GoPeer], tmp_path: Path, restart: signal.Signals | None
) -> None:
    files, first, _ = site
    queue(files)
    files.route.update(endpoint=f"https://localhost:{nobody()}")
    files.write()
    arguments = ("--queue-dir", str(tmp_path / "queue"), "--grace", "3")
    with Dispatcher(files.files, *arguments) as dispatcher:
        with Senders(dispatcher.port, 5, 5, RATE, SECONDS / 4) as senders:
            senders.join()
        assert answered_by(first) == {}
        wait_until(lambda: queued(dispatcher) == len(senders.ledger.accepted))
        if restart is not None:
            dispatcher.stop(restart)
    files.route.update(endpoint=f"https://localhost:{first.port}")
    files.write()
    with Dispatcher(files.files, *arguments) as dispatcher:
        arrived(senders, first)
        wait_until(lambda: queued(dispatcher) == 0)
        assert dispatcher.stop() == 0
    assert len(senders.ledger.accepted) > SECONDS / 4 * RATE * 0.5
    check(senders.ledger, answered_by(first))


def test_the_mode_changes_under_load(site: tuple[Site, GoPeer, GoPeer], tmp_path: Path) -> None:
    files, first, _ = site
    files.spec["queue"] = {"disk": {}}
    files.write()
    with (
        Dispatcher(files.files, "--queue-dir", str(tmp_path / "queue")) as dispatcher,
        Senders(dispatcher.port, 10, 10, RATE, SECONDS) as senders,
    ):
        pids = {worker["pid"] for worker in dispatcher.status()["workers"]}
        for mode in ("Queued", "Direct", "Queued", "Direct"):
            time.sleep(SECONDS / 6)  # part of the load's script: let messages flow between two changes
            files.spec["acceptance"] = {"mode": mode}
            in_force(dispatcher, files.write)
        senders.join()
        arrived(senders, first)
        assert {worker["pid"] for worker in dispatcher.status()["workers"]} == pids
        wait_until(lambda: queued(dispatcher) == 0)
        assert dispatcher.stop() == 0
    check(senders.ledger, answered_by(first))
    assert senders.ledger.sessions_told_to_leave == 0
    assert len(senders.ledger.accepted) > SECONDS * RATE * 0.5


def test_workers_come_and_go_under_load(site: tuple[Site, GoPeer, GoPeer], tmp_path: Path) -> None:
    files, first, second = site
    queue(files, workers=3)
    with (
        Dispatcher(files.files, "--queue-dir", str(tmp_path / "queue")) as dispatcher,
        Senders(dispatcher.port, 10, 10, RATE, SECONDS) as senders,
    ):
        # What one worker has left is delivered by another: for a while nothing can be.
        steps: list[tuple[int, int]] = [(1, nobody()), (2, nobody()), (1, first.port), (2, second.port)]
        for workers, port in steps:
            time.sleep(SECONDS / 6)  # part of the load's script: let messages flow between two changes
            files.spec["workers"] = workers
            files.route.update(endpoint=f"https://localhost:{port}")
            in_force(dispatcher, files.write)
        senders.join()
        arrived(senders, first, second)
        wait_until(lambda: queued(dispatcher) == 0)
        # The last worker may still be starting.
        wait_until(lambda: owners(dispatcher) == {0: 0, 1: 1, 2: 0})
        assert (dispatcher.status()["queue"]["orphaned"], dispatcher.stop()) == ([], 0)
    check(senders.ledger, answered_by(first, second))
    assert len(senders.ledger.accepted) > SECONDS * RATE * 0.5


def test_direct_hands_over_what_has_no_verdict_in_time(
    site: tuple[Site, GoPeer, GoPeer], tmp_path: Path
) -> None:
    files, first, _ = site
    queue(files, acceptance={"mode": "Direct", "deadline": "500ms", "overflow": "Queue"})
    files.route.update(endpoint=f"https://localhost:{nobody()}")
    files.write()
    with (
        Dispatcher(files.files, "--queue-dir", str(tmp_path / "queue")) as dispatcher,
        Senders(dispatcher.port, 5, 5, RATE, SECONDS / 2) as senders,
    ):
        kept = 'tubepost_queue_accepted_total{cause="overflow"}'
        wait_until(lambda: dispatcher.metrics().get(kept, 0) > 20)
        files.route.update(endpoint=f"https://localhost:{first.port}")
        in_force(dispatcher, files.write)
        senders.join()
        arrived(senders, first)
        wait_until(lambda: queued(dispatcher) == 0)
        assert len(senders.ledger.accepted) > dispatcher.metrics()[kept] >= 20
        assert dispatcher.stop() == 0
    check(senders.ledger, answered_by(first))


def test_an_end_in_order_under_load_doubles_nothing(
    site: tuple[Site, GoPeer, GoPeer], tmp_path: Path
) -> None:
    files, first, _ = site
    queue(files)
    arguments = ("--queue-dir", str(tmp_path / "queue"), "--grace", "10")
    with Dispatcher(files.files, *arguments) as dispatcher:
        with Senders(dispatcher.port, 10, 10, RATE, 60.0) as senders:
            wait_until(lambda: len(senders.ledger.accepted) > RATE)
            code = dispatcher.stop()
            senders.stop()
        assert code == 0, dispatcher.output()
        assert "drained: nothing was cut" in dispatcher.output()
    with Dispatcher(files.files, *arguments) as dispatcher:
        arrived(senders, first)
        wait_until(lambda: queued(dispatcher) == 0)
        assert dispatcher.stop() == 0
    answered = answered_by(first)
    assert not senders.ledger.unanswered, "a transaction was cut"
    assert not senders.ledger.accepted - answered.keys(), "a false 250"
    assert all(count == 1 for count in answered.values())


def test_a_pod_that_ends_says_what_is_left_on_its_own_volume(
    site: tuple[Site, GoPeer, GoPeer], tmp_path: Path
) -> None:
    files, _, _ = site
    queue(files, workers=2)
    files.route.update(endpoint=f"https://localhost:{nobody()}")
    files.write()
    arguments = ("--queue-dir", str(tmp_path / "queue"), "--workload", "Deployment", "--grace", "5")
    with Dispatcher(files.files, *arguments) as dispatcher:
        with Senders(dispatcher.port, 2, 2, 20.0, 2.0) as senders:
            senders.join()
        accepted = len(senders.ledger.accepted)
        wait_until(lambda: queued(dispatcher) == accepted)
        started = time.monotonic()
        assert dispatcher.stop() == 0
        assert time.monotonic() - started < 12.0
        left = re.findall(
            r"(\d+) notifications? left on a volume that goes with its pod", dispatcher.output()
        )
        assert sum(map(int, left)) == accepted
        assert len(re.findall(r"left behind, the first \d+ messages?: \w+", dispatcher.output())) == len(left)


def test_a_partition_that_another_process_has_costs_no_sender_anything(
    site: tuple[Site, GoPeer, GoPeer], tmp_path: Path
) -> None:
    files, first, _ = site
    queue(files, workers=2)
    directory = tmp_path / "queue"
    other = Directory(partition_path(directory, 1))
    with (
        Dispatcher(files.files, "--queue-dir", str(directory)) as dispatcher,
        Senders(dispatcher.port, 5, 5, RATE, SECONDS / 2) as senders,
    ):
        assert dispatcher.status()["ready"] is True
        problems = [one["problem"] for one in dispatcher.status()["queue"]["partitions"]]
        assert problems[0] is None
        assert f"in use by process {os.getpid()}" in problems[1]
        before = len(senders.ledger.accepted)
        wait_until(lambda: len(senders.ledger.accepted) > before + RATE)
        other.close()
        wait_until(lambda: dispatcher.status()["queue"]["partitions"][1]["problem"] is None)
        senders.join()
        arrived(senders, first)
        assert dispatcher.stop() == 0
    check(senders.ledger, answered_by(first))
