from __future__ import annotations

import logging
import re

import pytest
from prometheus_client import generate_latest

from tests.dispatcher.bundles import prepared
from tubepost_api.problems import Problem
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.config_change import Change, Level
from tubepost_dispatcher.supervisor.reload_status import ReloadStatus, iso

PROBLEM = Problem(
    severity="error",
    origin="",
    kind="ApnRoute",
    namespace="shop",
    name="apns",
    field="spec.certificate",
    message="tls.key is missing",
    remedy="add it",
)


class Told:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.reload_status = ReloadStatus(self.metrics)

    def samples(self) -> dict[str, float]:
        """The series about configurations, without those at 0."""
        text = generate_latest(self.metrics.registry).decode()
        found = re.findall(r"^tubepost_config_(\S+) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in found if float(value) and "_created" not in name}

    def refused_hashes(self) -> set[str]:
        """What `tubepost_config_refused_info` names."""
        names = " ".join(self.samples())
        return set(re.findall(r'refused_info\{hash="([^"]*)"\}', names))


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_first_configuration(told: Told) -> None:
    first = prepared(generation=3)
    told.reload_status.started(first, 2)
    assert told.samples() == {"generation": 3, f'info{{hash="{first.digest}"}}': 1}
    assert told.reload_status.status()["lastChange"] == {"level": "workers", "what": ("start",)}
    assert told.reload_status.status()["refused"] is None


def test_a_start_without_everything_says_what_it_lacks(told: Told) -> None:
    first = prepared()
    told.reload_status.lacks((PROBLEM,), first.digest)
    told.reload_status.started(first, 1)
    assert told.refused_hashes() == {first.digest}
    assert told.reload_status.status()["refused"]["problems"] == [str(PROBLEM)]


def test_a_refusal_names_the_hash_and_the_log_the_problem(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "tubepost.supervisor"):
        told.reload_status.refuse((PROBLEM,), "0123")
    assert told.refused_hashes() == {"0123"}
    assert told.samples()['reloads_total{level="none",result="refused"}'] == 1
    assert told.samples()["last_reload_failed"] == 1
    assert "tls.key is missing" in caplog.text


def test_only_the_last_refusal_counts(told: Told) -> None:
    told.reload_status.refuse((PROBLEM,), "0123")
    told.reload_status.refuse((PROBLEM,), "4567")
    assert told.refused_hashes() == {"4567"}


def test_one_that_replaces_the_refused_one(told: Told) -> None:
    told.reload_status.started(prepared(), 1)
    told.reload_status.refuse((PROBLEM,), "0123")
    better = prepared(generation=2, log_level="Debug")
    told.reload_status.applied(better, Change(Level.OPTIONS, ("log_level",)), 1)
    assert told.samples() == {
        "generation": 2,
        f'info{{hash="{better.digest}"}}': 1,
        'reloads_total{level="none",result="refused"}': 1,
        'reloads_total{level="options",result="applied"}': 1,
    }
    assert told.reload_status.status()["refused"] is None


def test_the_old_one_put_back_ends_a_refusal(told: Told) -> None:
    told.reload_status.started(prepared(), 1)
    told.reload_status.refuse((PROBLEM,), "0123")
    told.reload_status.unchanged()
    assert not told.refused_hashes()
    assert "last_reload_failed" not in told.samples()
    assert told.samples()['reloads_total{level="none",result="unchanged"}'] == 1
    assert told.reload_status.status()["lastChange"]["what"] == ("start",)


def test_moments_are_said_in_utc() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
