from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.apns.health import (
    FREE_REPLACEMENTS,
    GRACE,
    LEAST_INTERVAL,
    MOST_REST,
    TURNED_AWAY,
    RouteHealth,
)

NOW = 1_000.0


def doubted() -> RouteHealth:
    health = RouteHealth()
    assert health.timed_out(NOW - 5.0, NOW)
    return health


def test_a_route_that_answers_nothing_is_in_doubt_until_it_answers() -> None:
    health = doubted()
    assert health.in_doubt
    assert health.grace_until == NOW + GRACE
    assert not health.timed_out(NOW - 4.0, NOW + 1.0), "it began once"
    assert health.unanswered == 2
    assert health.answered(NOW + 2.0)
    assert not health.in_doubt
    assert not health.answered(NOW + 3.0)


def test_one_request_without_an_answer_among_others_is_no_doubt() -> None:
    health = RouteHealth()
    health.answered(NOW - 1.0)
    assert not health.timed_out(NOW - 5.0, NOW)
    assert not health.in_doubt
    assert health.timed_out(NOW - 0.5, NOW + 4.5)


def test_probes_are_single_and_grow_rare() -> None:
    health = doubted()
    sent = []
    now = NOW
    while now < NOW + 200.0:
        if health.may_send(now):
            health.probed(now)
            sent.append(now - NOW)
        now += 0.1
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(sent)]
    assert sent[0] == 0.0
    assert gaps[:6] == [2, 4, 8, 10, 10, 10]
    health.answered(now)
    assert health.may_send(now)
    health.timed_out(now, now + 5.0)
    assert health.may_send(now + 5.0), "a new doubt begins with a probe"


def test_among_many_one_tests_the_route_before_its_time() -> None:
    health = doubted()
    for number in range(8):
        health.probed(NOW + number)
    soon = NOW + 7 + LEAST_INTERVAL
    health.turned_away = TURNED_AWAY - 1
    assert not health.may_send(soon)
    health.turned_away = TURNED_AWAY
    assert not health.may_send(soon - 0.1)
    assert health.may_send(soon)
    health.probed(soon)
    assert not health.may_send(soon + LEAST_INTERVAL)


def test_a_probe_is_not_due_while_its_connection_may_not_be_opened() -> None:
    health = doubted()
    for number in range(3):
        health.replaced(NOW + number, NOW + number)
    assert health.paced_until > NOW + 2
    assert not health.may_send(NOW + 2)
    assert health.may_send(health.paced_until)


def test_replacements_are_paced_until_a_push_is_accepted() -> None:
    health = RouteHealth()
    now, opened = NOW, 0
    while now < NOW + 10.0:
        if now >= health.paced_until:
            opened += 1
            health.replaced(now, now)
        now += 0.01
    assert FREE_REPLACEMENTS < opened <= 7
    health.accepted()
    assert health.paced_until == 0.0
    health.replaced(now, now)
    assert health.paced_until == 0.0


def test_connections_that_end_together_count_once() -> None:
    health = RouteHealth()
    for number in range(32):
        health.replaced(NOW - 10.0 + number / 10, NOW)
    assert health.replacements == 1
    assert health.paced_until == 0.0


@given(st.floats(0.0, 1e12), st.floats(0.0, 1e12))
def test_a_rest_is_bounded_and_only_prolonged(first: float, second: float) -> None:
    health = RouteHealth()
    health.rest(first, "503", NOW)
    until = health.rest_until
    health.rest(second, "503", NOW + 1.0)
    assert until <= health.rest_until <= NOW + 1.0 + MOST_REST


@pytest.mark.parametrize(("at", "begins"), [(NOW + 5.0, False), (NOW + 10.0, True)])
def test_a_rest_begins_once(at: float, begins: bool) -> None:
    health = RouteHealth()
    assert health.rest(10.0, "", NOW)
    assert health.rest(10.0, "", at) is begins
