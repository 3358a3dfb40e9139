from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tubepost_dispatcher.apns.breaker import (
    BLAMED_FROM,
    DISTINCT_TOKENS,
    DISTINCT_TOKENS_ONE_SOURCE,
    HOLD_FIRST,
    HOLD_MOST,
    MOST_BLAMED,
    PROOF,
    EnvironmentBreaker,
    Hold,
)


def test_probes_double_up_to_the_most_and_success_opens() -> None:
    hold = Hold()
    now = 1000.0
    assert hold.admit(now)
    assert hold.failure(now, now - 1, "Forbidden", "why")
    waits = []
    for _ in range(10):
        waits.append(hold.until - now)
        assert not hold.admit(math.nextafter(hold.until, 0))
        now = hold.until
        assert hold.open_to_probe(now)
        assert hold.admit(now)
        assert not hold.admit(now)
        hold.failure(now + 0.1, now, "Forbidden")
        now += 0.1
    assert waits == pytest.approx([5, 10, 20, 40, 80, 160, 300, 300, 300, 300])
    now = hold.until
    assert hold.admit(now)
    assert hold.success(now)
    assert not hold.held
    assert hold.until == 0.0
    assert hold.admit(now)


def test_answers_to_what_was_sent_before_the_hold_say_nothing() -> None:
    hold = Hold()
    hold.failure(100.0, 99.0, "Forbidden")
    for _ in range(50):
        assert not hold.failure(100.5, 99.5, "Forbidden")
        assert not hold.success(99.9)
    assert hold.until == 105.0


def test_a_probe_without_an_answer_is_followed_by_another() -> None:
    hold = Hold()
    hold.failure(0.0, 0.0, "Forbidden")
    assert hold.admit(HOLD_FIRST)
    assert not hold.admit(HOLD_FIRST + 1)
    assert hold.admit(2 * HOLD_FIRST)


class HoldLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.hold = Hold()
        self.now = 100.0
        self.sent: list[float] = []
        self.last_admit = -math.inf

    @rule(step=st.floats(0.001, 400))
    def pass_time(self, step: float) -> None:
        self.now += step

    @rule()
    def ask(self) -> None:
        held = self.hold.held
        if self.hold.admit(self.now):
            if held:
                assert self.now - self.last_admit >= HOLD_FIRST
                self.last_admit = self.now
            self.sent.append(self.now)

    @rule(ok=st.booleans(), pick=st.integers(0, 100))
    def answer(self, ok: bool, pick: int) -> None:
        if self.sent:
            sent_at = self.sent.pop(pick % len(self.sent))
            self.now += 0.001
            if ok:
                self.hold.success(sent_at)
            else:
                self.hold.failure(self.now, sent_at, "Forbidden")
            if not self.hold.held:
                self.last_admit = -math.inf

    @invariant()
    def bounded(self) -> None:
        assert self.hold.until <= self.now + HOLD_MOST
        assert self.hold.held == bool(self.hold.until)


TestHoldLife = HoldLife.TestCase
TestHoldLife.settings = settings(max_examples=40)


NOW = 1_000.0


def token(number: int) -> bytes:
    return b"%x" % number


def test_two_sources_trip_the_environment_breaker() -> None:
    breaker = EnvironmentBreaker()
    results = [breaker.refused(token(n), b"ab"[n % 2 : n % 2 + 1], NOW) for n in range(DISTINCT_TOKENS)]
    assert results == [False] * (DISTINCT_TOKENS - 1) + [True]
    assert breaker.count == 0


def test_one_sources_bad_list_does_not_trip_it_until_it_is_huge() -> None:
    breaker = EnvironmentBreaker()
    assert not any(breaker.refused(token(n), b"one", NOW) for n in range(DISTINCT_TOKENS_ONE_SOURCE - 20))
    assert not any(breaker.refused(token(10_000 + n), b"other", NOW) for n in range(15))
    assert any(breaker.refused(token(20_000 + n), b"one", NOW) for n in range(20))


def test_the_same_token_counts_once() -> None:
    breaker = EnvironmentBreaker()
    for n in range(10_000):
        assert not breaker.refused(token(n % 99), b"%d" % n, NOW)


def test_one_success_forgets_everything() -> None:
    breaker = EnvironmentBreaker()
    for n in range(10_000):
        assert not breaker.refused(token(n), b"%d" % (n % 7), NOW)
        if n % 90 == 0:
            breaker.success(NOW - PROOF)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5)), max_size=400))
def test_memory_is_bounded_and_it_never_trips_early(refusals: list[tuple[int, int]]) -> None:
    breaker = EnvironmentBreaker()
    seen: set[int] = set()
    for number, sender in refusals:
        seen.add(number)
        if breaker.refused(token(number), b"%d" % sender, NOW):
            assert len(seen) >= DISTINCT_TOKENS
            seen.clear()
        assert breaker.count == len(seen) <= DISTINCT_TOKENS_ONE_SOURCE


def test_an_adopted_hold_lets_a_probe_through_when_its_time_is_over() -> None:
    hold = Hold()
    assert hold.adopt(100.0, 7.0, "InvalidProviderToken", "said another worker")
    assert (hold.held, hold.until, hold.reason) == (True, 107.0, "InvalidProviderToken")
    assert not hold.admit(106.9)
    assert hold.admit(107.0)
    assert hold.failure(108.0, 107.0, "InvalidProviderToken")
    assert hold.until == 108.0 + 2 * max(HOLD_FIRST, 7.0)


def test_a_hold_of_ones_own_is_not_replaced() -> None:
    hold = Hold()
    hold.failure(100.0, 99.0, "BadCertificate")
    assert not hold.adopt(100.0, 60.0, "Forbidden", "")
    assert hold.reason == "BadCertificate"


def test_release_ends_it() -> None:
    hold = Hold()
    hold.adopt(100.0, 60.0, "Forbidden", "")
    hold.release()
    assert not hold.held
    assert hold.admit(100.0)


def trip(breaker: EnvironmentBreaker, now: float = NOW) -> None:
    for n in range(DISTINCT_TOKENS):
        source = b"few" if n < BLAMED_FROM - 1 else (b"a", b"b")[n % 2]
        tripped = breaker.refused(token(n), source, now)
    assert tripped


def test_a_success_proves_the_environment_for_minutes_whoever_has_old_tokens() -> None:
    breaker = EnvironmentBreaker()
    breaker.success(NOW)
    assert not any(breaker.refused(token(n), b"%d" % (n % 7), NOW + PROOF - 1) for n in range(5_000))
    assert breaker.count == 0
    trip(breaker, NOW + PROOF)


def test_it_blames_those_who_brought_the_tokens() -> None:
    breaker = EnvironmentBreaker()
    assert breaker.blamed == frozenset()
    trip(breaker)
    assert breaker.blamed == {b"a", b"b"}


def test_one_who_brings_such_tokens_later_is_blamed_too() -> None:
    breaker = EnvironmentBreaker()
    trip(breaker)
    for n in range(BLAMED_FROM):
        assert b"late" not in breaker.blamed
        assert not breaker.refused(token(1_000 + n), b"late", NOW)
    assert breaker.blamed == {b"a", b"b", b"late"}
    breaker.success(NOW)
    assert breaker.blamed == frozenset()


def test_a_single_source_without_any_success_is_blamed_alone() -> None:
    breaker = EnvironmentBreaker()
    assert not breaker.refused(token(10**6), b"other", NOW)
    assert any(breaker.refused(token(n), b"one", NOW) for n in range(DISTINCT_TOKENS_ONE_SOURCE))
    assert breaker.blamed == {b"one"}


def test_who_is_blamed_is_bounded() -> None:
    breaker = EnvironmentBreaker()
    trip(breaker)
    for n in range(MOST_BLAMED * BLAMED_FROM + 100):
        breaker.refused(token(n + 10_000), b"%d" % (n // BLAMED_FROM), NOW)
        assert breaker.count <= DISTINCT_TOKENS_ONE_SOURCE
    assert len(breaker.blamed) == MOST_BLAMED
