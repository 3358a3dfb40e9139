from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.liveness import IDLE_PING, IDLE_PING_ANSWER, SECOND_LOOK, Liveness, Oldest

IDLE = 3600.0


def test_a_ping_is_due_when_the_oldest_request_has_waited_for_its_share() -> None:
    liveness = Liveness(100.0)
    waiting = [Oldest(10.0, 100.0)]
    assert liveness.next(100.0, waiting, IDLE) == (False, pytest.approx(104.0))
    assert not liveness.silent
    ping, wake = liveness.next(104.0, waiting, IDLE)
    assert ping
    assert liveness.silent
    assert wake == pytest.approx(108.0)


def test_bytes_that_came_lately_put_the_ping_off() -> None:
    liveness = Liveness(100.0)
    liveness.last_read = 103.9
    assert liveness.next(104.0, [Oldest(10.0, 100.0)], IDLE) == (False, pytest.approx(104.9))


def test_silence_after_the_ping_is_death_and_a_byte_is_life() -> None:
    liveness = Liveness(100.0)
    waiting = [Oldest(10.0, 100.0)]
    assert liveness.next(104.0, waiting, IDLE)[0]
    assert not liveness.is_dead(107.9, waiting)
    assert liveness.is_dead(108.0, waiting)
    liveness.last_read = 107.0
    assert not liveness.is_dead(200.0, waiting)


def test_a_deadline_shortens_the_patience_so_that_the_request_can_still_move() -> None:
    liveness = Liveness(100.0)
    waiting = [Oldest(10.0, 100.0)]
    liveness.last_read = 106.5
    assert liveness.next(107.5, waiting, IDLE)[0]
    assert not liveness.is_dead(109.8, waiting)
    assert liveness.is_dead(110.0 - 2 * SECOND_LOOK, waiting)


def test_an_idle_connection_is_pinged_once_a_minute_and_closed_at_its_time() -> None:
    liveness = Liveness(100.0)
    assert liveness.next(100.0, [], IDLE) == (False, 100.0 + IDLE_PING)
    assert liveness.next(100.0 + IDLE_PING, [], IDLE) == (True, 100.0 + IDLE_PING + IDLE_PING_ANSWER)
    assert liveness.is_dead(100.0 + IDLE_PING + IDLE_PING_ANSWER, [])
    assert Liveness(100.0).next(100.0, [], 30.0) == (False, 130.0)


@given(
    now=st.floats(0, 1e6),
    waiting=st.lists(st.tuples(st.floats(0.01, 3600), st.floats(0, 1e6)), max_size=4),
    read=st.floats(0, 1e6),
)
def test_the_next_look_is_never_in_the_past(
    now: float, waiting: list[tuple[float, float]], read: float
) -> None:
    liveness = Liveness(min(now, read))
    for _ in range(3):
        _, wake = liveness.next(now, [Oldest(*one) for one in waiting], IDLE)
        assert wake > now
        now = wake
