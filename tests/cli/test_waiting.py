from __future__ import annotations

import threading

from tubepost_cli.waiting import Waiting


def test_something_that_takes_its_time_is_told_again_and_again() -> None:
    said: list[float] = []
    twice = threading.Event()

    def say(seconds: float) -> None:
        said.append(seconds)
        if len(said) == 2:
            twice.set()

    with Waiting(say, first=0.001, again=0.001):
        assert twice.wait(60)
    assert 0 < said[0] < said[1]
    told = len(said)
    assert threading.active_count() >= 1
    assert len(said) == told


def test_what_is_quick_is_not_told_of() -> None:
    said: list[float] = []
    with Waiting(said.append, first=3_600):
        pass
    assert said == []
