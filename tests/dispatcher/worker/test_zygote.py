from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.dispatcher.worker import zygote_trial

Trial = tuple[dict[str, Any], str]


@pytest.fixture(scope="module")
def trial() -> Trial:
    """What the trial says, and its standard error. A program of its own: this one may have threads."""
    done = subprocess.run(
        [sys.executable, "-m", zygote_trial.__name__],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_worker_is_the_supervisors_child(trial: Trial) -> None:
    said, _ = trial
    assert {worker["parent"] for worker in said["workers"]} == {said["pid"]}
    assert all(worker["reaped"] for worker in said["workers"])


def test_how_a_worker_ends_is_seen_and_why_it_failed_is_said(trial: Trial) -> None:
    said, errors = trial
    assert [worker["code"] for worker in said["workers"]] == [0, 1, 0]
    assert errors.count(f"RuntimeError: {zygote_trial.LOST}") == 1


def test_a_worker_has_its_descriptors_and_no_others(trial: Trial) -> None:
    said, _ = trial
    # Standard input is nothing; standard output and error are the pipes of the test.
    bare = ["/dev/null", "pipe", "pipe", "socket", "socket"]
    assert [worker["files"] for worker in said["workers"]] == [bare, ["/dev/null", *bare], bare]
    assert [worker["memory"] for worker in said["workers"]] == [False, True, False]


def test_processes_are_told_apart(trial: Trial) -> None:
    said, _ = trial
    assert said["zygote"] == "tubepost-zygote"
    assert {worker["name"] for worker in said["workers"]} == {"tubepost-worker"}


def test_workers_do_not_share_their_chances(trial: Trial) -> None:
    said, _ = trial
    assert len({worker["random"] for worker in said["workers"]}) == 3


def test_signals_are_the_supervisors(trial: Trial) -> None:
    said, _ = trial
    assert said["workers"][0]["ignored"] == [True, True, True]


def test_it_ends_with_its_supervisor(trial: Trial) -> None:
    assert trial[0]["end of the zygote"] == 0
    assert trial[0]["after a signal"] == -9


def test_a_process_that_cannot_be_forked_is_told(trial: Trial) -> None:
    assert trial[0]["refused"] == -errno.EAGAIN


def test_a_process_with_threads_is_not_forked(trial: Trial) -> None:
    assert trial[0]["with threads"] is True
    assert {worker["threads"] for worker in trial[0]["workers"]} == {1}
