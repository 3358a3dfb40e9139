"""Configuration changes under load, against an APNs of another make: nothing refused, lost or doubled.

`TUBEPOST_LOAD_SECONDS` and `TUBEPOST_LOAD_RATE` make the run longer and heavier.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.app import Dispatcher, wait_until
from tests.e2e.senders import Senders
from tests.e2e.site import Site, answered_by, check
from tests.peers.servers import GoPeer

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("load"), pytest.mark.timeout(400)]

SECONDS = float(os.environ.get("TUBEPOST_LOAD_SECONDS", "25"))
RATE = float(os.environ.get("TUBEPOST_LOAD_RATE", "100"))
IN_FORCE = 5.0
"""Seconds within which a valid change must be in force."""


def _hash(dispatcher: Dispatcher) -> str:
    return str(dispatcher.status()["config"]["hash"])


def _changed(dispatcher: Dispatcher, before: str, name: str, took: dict[str, float]) -> None:
    started = time.monotonic()
    wait_until(lambda: _hash(dispatcher) != before and _everywhere(dispatcher), IN_FORCE + 25.0)
    took[name] = round(time.monotonic() - started, 2)


def _everywhere(dispatcher: Dispatcher) -> bool:
    status = dispatcher.status()
    return all(worker.get("configHash") == status["config"]["hash"] for worker in status["workers"])


def _refused(dispatcher: Dispatcher, before: str, words: str) -> None:
    wait_until(lambda: dispatcher.status()["config"]["refused"])
    assert words in " ".join(dispatcher.status()["config"]["refused"]["problems"])
    assert _hash(dispatcher) == before
    assert dispatcher.metrics()["tubepost_config_last_reload_failed"] == 1
    assert "configuration refused" in dispatcher.output()


def test_changes_under_load(site: tuple[Site, GoPeer, GoPeer]) -> None:
    files, first, second = site
    took: dict[str, float] = {}
    with Dispatcher(files.files) as dispatcher, Senders(dispatcher.port, 10, 10, RATE, SECONDS) as senders:
        pause = SECONDS / 12
        pids = {worker["pid"] for worker in dispatcher.status()["workers"]}

        def change(name: str) -> None:
            time.sleep(pause)  # part of the load's script: let messages flow between two changes
            before = _hash(dispatcher)
            {
                "certificate": lambda: files.credentials("2"),
                "endpoint": lambda: files.route.update(endpoint=f"https://localhost:{files.other_port}"),
                "override": lambda: files.spec["domains"][0].update(delivery={"maxOutboundConnections": 4}),
                "logger": lambda: files.logger.update(format="Json"),
                "workers": lambda: files.spec.update(workers=1),
                "limits": lambda: files.spec.update(listener={"limits": {"maxMessageSize": 1_000_000}}),
            }[name]()
            if name != "certificate":
                files.write()
            _changed(dispatcher, before, name, took)

        for name in ("certificate", "endpoint", "override", "logger", "workers", "limits"):
            change(name)
        before = _hash(dispatcher)
        good = (files.directory / "push.yaml").read_text()
        (files.directory / "push.yaml").write_text(good + "\n  oops: [")
        _refused(dispatcher, before, "push.yaml")
        (files.directory / "push.yaml").write_text(good)
        wait_until(lambda: not dispatcher.status()["config"]["refused"])
        sound = files.secrets()
        broken = files.secrets()
        certificate, tls = (
            next(d for d in broken if d["metadata"]["name"] == name)
            for name in ("apns-certificate", "smtp-tls")
        )
        certificate["data"]["tls.key"] = tls["data"]["tls.key"]
        files.write_secrets(broken)
        _refused(dispatcher, before, "does not belong")
        files.write_secrets(sound)
        wait_until(lambda: not dispatcher.status()["config"]["refused"])
        senders.join()
        assert {worker["pid"] for worker in dispatcher.status()["workers"]} <= pids
        assert dispatcher.stop() == 0
    ledger, answered = senders.ledger, answered_by(first, second)
    print(  # noqa: T201 - the figures of the run
        f"accepted {len(ledger.accepted)}, told to leave {ledger.sessions_told_to_leave}, in force after {took}"
    )
    check(ledger, answered)
    assert len(ledger.accepted) > SECONDS * RATE * 0.5
    assert max(took.values()) < IN_FORCE, took


def test_a_killed_worker_under_load(site: tuple[Site, GoPeer, GoPeer]) -> None:
    files, first, _ = site
    name = 'tubepost_messages_total{kind="push",result="accepted"}'
    with (
        Dispatcher(files.files) as dispatcher,
        Senders(dispatcher.port, 10, 10, RATE, SECONDS / 2) as senders,
    ):
        last = 0.0
        for _ in range(3):
            wait_until(lambda last=last: dispatcher.metrics().get(name, 0) > last + 20)
            last = dispatcher.metrics()[name]
            victim = dispatcher.status()["workers"][0]["pid"]
            os.kill(victim, signal.SIGKILL)
            wait_until(
                lambda victim=victim: (
                    victim not in [w["pid"] for w in dispatcher.status()["workers"]]
                    and len(dispatcher.status()["workers"]) == 2
                )
            )
            assert dispatcher.metrics().get(name, 0) >= last
        senders.join()
        assert dispatcher.metrics()['tubepost_worker_exits_total{cause="signal 9"}'] == 3
        assert dispatcher.stop() == 0
    ledger, answered = senders.ledger, answered_by(first)
    assert not ledger.accepted - answered.keys(), "a false 250"
    assert ledger.refused == []
    doubled = {identity for identity, count in answered.items() if count > 1}
    assert doubled <= ledger.unanswered, "doubled without having been unanswered"


def test_sigterm_under_load_keeps_every_250(site: tuple[Site, GoPeer, GoPeer]) -> None:
    files, first, _ = site
    with Dispatcher(files.files, "--grace", "10") as dispatcher:
        senders = Senders(dispatcher.port, 10, 10, RATE, 60.0)
        with senders:
            wait_until(lambda: len(senders.ledger.accepted) > 100)
            started = time.monotonic()
            code = dispatcher.stop()
            took = time.monotonic() - started
            senders.stop()
        assert code == 0, dispatcher.output()
        assert took < 12.0
        assert "drained: nothing was cut" in dispatcher.output()
    ledger = senders.ledger
    answered = answered_by(first)
    assert not ledger.accepted - answered.keys(), "a false 250"
    assert not ledger.unanswered, "a transaction was cut"
    assert all(count == 1 for count in answered.values())
