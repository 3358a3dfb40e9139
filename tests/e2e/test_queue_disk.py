"""Disks that are full, read-only, failing, slow or damaged, under a real dispatcher that takes messages.

Errors and delays are put between the dispatcher and the system by strace; a small volume is a tmpfs in a mount
namespace of the dispatcher's own. Each has an outcome: 452 or 451 and a metric, never a 5xx, a worker that ends
or a session that hangs; and it passes by itself.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.app import Dispatcher, get, wait_until
from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite, answered, kill_all, queued
from tests.peers.servers import GoPeer
from tests.peers.tools import require

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue"), pytest.mark.timeout(200)]

RATE = 100.0
SESSIONS = 10


@pytest.fixture
def site(tmp_path: Path) -> QueueSite:
    return QueueSite(tmp_path)


def injected(*faults: str) -> list[str]:
    """strace, that lets system calls fail or take longer: `pwrite64:error=EIO:when=3..5`."""
    names = ",".join(fault.partition(":")[0] for fault in faults)
    options = [option for fault in faults for option in ("-e", f"inject={fault}")]
    return [str(require("strace")), "-D", "-f", "-q", "-o", "/dev/null", "-e", f"trace={names}", *options]


def volume(site: QueueSite, options: str) -> list[str]:
    """unshare, that gives the dispatcher a tmpfs of its own for the queue."""
    site.queue.mkdir()
    script = f'mount -t tmpfs -o {options} tmpfs "{site.queue}" && exec "$@"'
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", "--propagation", "private", *root, "sh", "-c", script, "sh"]


def inside(dispatcher: Dispatcher, path: Path) -> Path:
    """A path as the dispatcher sees it."""
    return Path(f"/proc/{dispatcher.pid}/root") / path.relative_to("/")


def readiness(dispatcher: Dispatcher) -> str:
    try:
        return get(f"http://127.0.0.1:{dispatcher.found['http']}/readyz").decode().strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode().strip()


def refused(dispatcher: Dispatcher, kind: str) -> float:
    return dispatcher.metrics().get(f'tubepost_queue_refused_total{{kind="{kind}"}}', 0.0)


def workers(dispatcher: Dispatcher) -> list[int]:
    return [worker["pid"] for worker in dispatcher.status()["workers"]]


@contextmanager
def under_load(site: QueueSite, dispatcher: Dispatcher) -> Iterator[tuple[Injector, GoPeer]]:
    """Messages flow; in the end all that were accepted have arrived, once, and no worker was replaced."""
    with site.peer() as peer, dispatcher:
        before = workers(dispatcher)
        with Injector(site.smtp_port, SESSIONS, rate=RATE) as injector:
            yield injector, peer
            flows(injector)
            injector.stop()
            injector.join(60.0)
        wait_until(lambda: injector.accepted.keys() <= answered(peer).keys(), 60.0)
        wait_until(lambda: queued(dispatcher) == 0)
        assert workers(dispatcher) == before, dispatcher.output()
        assert dispatcher.stop() == 0, dispatcher.output()
        arrived = answered(peer)
    assert all(arrived[identity] == 1 for identity in injector.accepted)
    assert injector.unanswered == set()
    assert set(injector.replies) <= {451, 452}, injector.texts


def flows(injector: Injector, messages: int = 50) -> None:
    """So many more messages get their 250."""
    enough = len(injector.accepted) + messages
    wait_until(lambda: len(injector.accepted) >= enough, 60.0)


def test_a_volume_that_fills_up(site: QueueSite) -> None:
    site.spec["queue"]["disk"]["reserve"] = "4Mi"
    dispatcher = site.dispatcher()
    dispatcher.prefix = volume(site, "size=16m")
    with under_load(site, dispatcher) as (injector, _):
        flows(injector)
        assert readiness(dispatcher) == "ok"
        ballast = inside(dispatcher, site.queue) / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 13 * 1024 * 1024)
        wait_until(lambda: injector.replies[452] >= 20)
        assert "The queue is full" in injector.texts[452]
        wait_until(lambda: "reserve" in readiness(dispatcher))
        wait_until(lambda: refused(dispatcher, "full") >= 20)
        ballast.unlink()
        wait_until(lambda: readiness(dispatcher) == "ok")


def test_a_volume_that_is_read_only_until_somebody_mends_it(site: QueueSite) -> None:
    dispatcher = site.dispatcher()
    dispatcher.prefix = volume(site, "size=64m,ro")
    with under_load(site, dispatcher) as (injector, _):
        wait_until(lambda: injector.replies[451] >= 20)
        assert "cannot be written to" in injector.texts[451]
        wait_until(lambda: refused(dispatcher, "read-only") >= 20)
        assert injector.accepted == {}
        assert readiness(dispatcher) != "ok"
        mount = ["mount", "-o", "remount,rw", str(site.queue)]
        subprocess.run(["nsenter", f"--target={dispatcher.pid}", "--mount", *mount], check=True)
        flows(injector)
        wait_until(lambda: readiness(dispatcher) == "ok")


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        ("fdatasync:error=EIO:when=60..63", 451, "failed"),
        ("pwrite64:error=EIO:when=400..408", 451, "failed"),
        ("pwrite64:error=ENOSPC:when=400..450", 452, "full"),
        ("pwrite64:error=EROFS:when=400..410", 451, ""),
    ],
)
def test_a_disk_that_fails_for_a_while(site: QueueSite, fault: str, code: int, kind: str) -> None:
    dispatcher = site.dispatcher()
    dispatcher.prefix = injected(fault)
    with under_load(site, dispatcher) as (injector, _):
        wait_until(lambda: injector.replies[code] > 0, 60.0)
        assert len(injector.accepted) > 0
        flows(injector)
        metrics = dispatcher.metrics()
        assert sum(value for name, value in metrics.items() if "queue_refused_total" in name) > 0
        assert not kind or refused(dispatcher, kind) > 0
        wait_until(lambda: dispatcher.metrics()["tubepost_queue_quarantined_files"] == 0, 60.0)
        assert dispatcher.metrics()["tubepost_queue_damaged_entries"] == 0


def test_a_slow_disk_shares_its_syncs_and_refuses_nothing(site: QueueSite) -> None:
    dispatcher = site.dispatcher()
    dispatcher.prefix = injected("fdatasync:delay_exit=50000", "fsync:delay_exit=50000")
    with under_load(site, dispatcher) as (injector, _):
        flows(injector, 200)
        assert injector.replies == {}
        assert dispatcher.metrics()["tubepost_queue_commits_total"] < len(injector.accepted)


# -- damage -------------------------------------------------------------------------------------------


def two_partitions(site: QueueSite) -> dict[str, set[str]]:
    """Messages in the partitions of two workers, with no APNs to take them; the dispatcher was killed."""
    site.spec["workers"] = 2
    site.spec["delivery"] = {"retryInterval": "1s", "maxRetryInterval": "2s"}
    with site.dispatcher() as dispatcher:
        # The kernel chooses the worker of a session: of so many, each worker has some.
        with Injector(site.smtp_port, 4 * SESSIONS, total=400) as injector:
            injector.join(60.0)
        wait_until(lambda: queued(dispatcher) == len(injector.accepted))
        kill_all(dispatcher)
    stored = {name: site.stored(name) for name in ("00", "01")}
    assert stored["00"] | stored["01"] == injector.accepted.keys()
    assert all(len(one) > 50 for one in stored.values())
    return stored


def database(site: QueueSite) -> Path:
    return site.queue / "00" / "current" / "queue.db"


def tidy(path: Path) -> None:
    """Everything into the file, and no log beside it."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    db.close()


def half_a_record(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    os.truncate(log, log.stat().st_size - 6_000)


def half_a_file(path: Path) -> None:
    tidy(path)
    os.truncate(path, path.stat().st_size // 2)


def a_flipped_byte(path: Path) -> None:
    tidy(path)
    with path.open("r+b") as file:
        # In a leaf that holds entries: a payload is not what it was.
        place = path.read_bytes().rindex(b'\\"alert\\"')
        file.seek(place + 2)
        file.write(b"A")


@pytest.mark.parametrize(
    ("damage", "lost", "sign"),
    [
        (half_a_record, 60, None),
        (half_a_file, 400, "tubepost_queue_quarantined_files"),
        (a_flipped_byte, 1, "tubepost_queue_damaged_entries"),
    ],
)
def test_a_damaged_partition_gives_what_can_be_read(
    site: QueueSite, damage: Callable[[Path], None], lost: int, sign: str | None
) -> None:
    stored = two_partitions(site)
    damage(database(site))
    with site.peer() as peer, site.dispatcher() as dispatcher:
        with Injector(site.smtp_port, SESSIONS, total=100, name="later") as later:
            later.join(60.0)
        assert len(later.accepted) == 100, later.texts
        assert later.replies == {}
        others = stored["01"] | later.accepted.keys()
        wait_until(lambda: others <= answered(peer).keys(), 60.0)
        wait_until(lambda: len(stored["00"] - answered(peer).keys()) <= lost, 60.0)
        if sign is not None:
            wait_until(lambda: dispatcher.metrics()[sign] > 0)
        wait_until(lambda: queued(dispatcher) == 0, 60.0)
        arrived = answered(peer)
        metrics = dispatcher.metrics()
        assert dispatcher.stop() == 0, dispatcher.output()
    assert others <= arrived.keys(), "another partition is affected"
    assert all(count == 1 for count in arrived.values())
    for name in ("tubepost_queue_quarantined_files", "tubepost_queue_damaged_entries"):
        assert (metrics[name] > 0) == (name == sign), name


def test_a_partition_that_another_process_has(site: QueueSite) -> None:
    stored = two_partitions(site)
    with site.peer() as peer, (site.queue / "00" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with site.dispatcher() as dispatcher:
            with Injector(site.smtp_port, SESSIONS, rate=RATE, name="later") as later:
                # Its worker takes no mail, the other one does.
                wait_until(lambda: dispatcher.metrics()['tubepost_queue_partitions{state="locked"}'] == 1)
                wait_until(lambda: stored["01"] <= answered(peer).keys())
                flows(later)
                assert stored["00"].isdisjoint(answered(peer))
                fcntl.flock(lock, fcntl.LOCK_UN)
                wait_until(lambda: stored["00"] <= answered(peer).keys(), 60.0)
                later.stop()
                later.join(60.0)
            assert set(later.replies) <= {451}, later.texts
            assert "is in use by process" in dispatcher.output()
            wait_until(lambda: queued(dispatcher) == 0)
            assert dispatcher.stop() == 0
        assert all(count == 1 for count in answered(peer).values())


def test_a_later_release_s_partition_is_left_alone_until_that_release_is_back(site: QueueSite) -> None:
    stored = two_partitions(site)
    with sqlite3.connect(database(site)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 1000")
    db.close()
    with site.peer() as peer, site.dispatcher() as dispatcher:
        with Injector(site.smtp_port, SESSIONS, rate=RATE, name="later") as later:
            flows(later)
            later.stop()
            later.join(60.0)
        assert set(later.replies) <= {451}, later.texts
        assert "has schema 1000, written by a later release" in dispatcher.output()
        wait_until(lambda: dispatcher.metrics()['tubepost_queue_partitions{state="failed"}'] == 1)
        wait_until(lambda: stored["01"] | later.accepted.keys() <= answered(peer).keys())
        assert stored["00"].isdisjoint(answered(peer))
        assert dispatcher.stop() == 0
        with sqlite3.connect(database(site)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        with site.dispatcher() as successor:
            wait_until(lambda: stored["00"] <= answered(peer).keys(), 60.0)
            assert successor.stop() == 0
        assert all(count == 1 for count in answered(peer).values())
