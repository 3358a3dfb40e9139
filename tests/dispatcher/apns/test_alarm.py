from __future__ import annotations

import math

from tests.support.loop import FakeLoop
from tubepost_dispatcher.apns.alarm import Alarm


class Rung:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.alarm = Alarm(self.loop, self.loop.clock, lambda: self.times.append(self.loop.now - 1000.0))
        self.times: list[float] = []


def test_it_rings_once_for_each_setting() -> None:
    rung = Rung()
    rung.alarm.set(1002.0)
    rung.loop.advance(10.0)
    assert rung.times == [2.0]
    assert rung.alarm.at == math.inf
    rung.alarm.set(1011.0)
    rung.loop.advance(10.0)
    assert rung.times == [2.0, 11.0]


def test_another_moment_replaces_the_one_before() -> None:
    rung = Rung()
    rung.alarm.set(1002.0)
    rung.alarm.set(1005.0)
    rung.loop.advance(10.0)
    assert rung.times == [5.0]


def test_no_later_than_only_brings_it_forward() -> None:
    rung = Rung()
    rung.alarm.no_later_than(1005.0)
    rung.alarm.no_later_than(1007.0)
    rung.alarm.no_later_than(math.inf)
    assert rung.alarm.at == 1005.0
    rung.alarm.no_later_than(1003.0)
    rung.loop.advance(10.0)
    assert rung.times == [3.0]


def test_cancelled_it_is_silent() -> None:
    rung = Rung()
    rung.alarm.set(1002.0)
    rung.alarm.cancel()
    rung.loop.advance(10.0)
    assert not rung.times


def test_a_moment_in_the_past_is_now() -> None:
    rung = Rung()
    rung.alarm.set(900.0)
    rung.loop.turn()
    assert rung.times == [0.0]
