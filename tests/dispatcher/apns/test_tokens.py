from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tubepost_dispatcher.apns.tokens import KEEP, LAG, MAX_AGE, STEP, ProviderToken

NOW = 1_700_000_000


class Signer:
    def __init__(self) -> None:
        self.signed: list[int] = []

    def sign(self, now_unix: int) -> str:
        self.signed.append(now_unix)
        return f"token-{now_unix}"


moments = st.floats(NOW, NOW + 10**6)


@given(moments)
def test_all_processes_choose_the_same_token_and_it_is_never_too_old(now: float) -> None:
    early, late = ProviderToken(Signer()), ProviderToken(Signer())
    early.header(now - 100_000)
    assert early.header(now) == late.header(now)
    assert LAG <= late.age(now) <= STEP + LAG + 1 < 3600 - 600


@given(st.lists(st.floats(0, 3000), max_size=50))
def test_tokens_change_once_per_step_and_are_signed_once(steps: list[float]) -> None:
    signer = Signer()
    token = ProviderToken(signer)
    now = float(NOW)
    for step in steps:
        now += step
        assert token.header(now) is token.header(now)
    assert len(signer.signed) == len(set(signer.signed))
    assert all(b - a >= 1200 for a, b in zip(signer.signed, signer.signed[1:], strict=False))


def test_a_clock_set_back_is_followed() -> None:
    token = ProviderToken(Signer())
    token.header(NOW + 10 * STEP)
    assert token.age(NOW) > 0 or token.header(NOW)
    token.header(NOW)
    assert LAG <= token.age(NOW) <= STEP + LAG


def test_one_early_step_then_no_more_until_the_clock_gets_there() -> None:
    token = ProviderToken(Signer())
    before = token.header(NOW)
    old = token.iat
    assert token.early_step(NOW)
    assert token.iat == old + STEP
    assert token.header(NOW) != before
    assert not token.early_step(NOW + 1)
    there = old + STEP + LAG
    assert token.header(there) == b"bearer token-%d" % (old + STEP)
    assert token.early_step(there)
    assert token.iat == old + 2 * STEP


@given(moments, st.floats(900, 3000))
def test_an_early_token_is_neither_expired_nor_from_the_future_for_a_server_that_is_ahead(
    now: float, ahead: float
) -> None:
    token = ProviderToken(Signer())
    token.header(now)
    if token.age(now) + ahead > 3600:
        assert token.early_step(now)
        assert 0 < token.age(now) + ahead <= 3600


def test_too_many_updates_keep_the_older_token_for_a_while() -> None:
    signer = Signer()
    token = ProviderToken(signer)
    token.header(NOW)
    old = token.iat
    change = old + STEP + LAG
    new_header = token.header(change)
    token.keep(change)
    assert token.iat == old
    assert token.header(change + 1) == b"bearer token-%d" % old
    assert token.age(change + 599) < MAX_AGE
    assert token.header(old + MAX_AGE + 1) == new_header


def test_too_many_updates_without_an_older_token_changes_nothing() -> None:
    token = ProviderToken(Signer())
    header = token.header(NOW)
    token.keep(NOW)
    token.keep(NOW + 1)
    assert token.header(NOW + KEEP / 2) == header


def test_after_an_early_step_the_expired_token_does_not_come_back() -> None:
    token = ProviderToken(Signer())
    token.header(NOW)
    token.early_step(NOW)
    iat = token.iat
    token.keep(NOW + 1)
    assert token.iat == iat


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, the token in use is neither too old nor far in the future."""

    def __init__(self) -> None:
        super().__init__()
        self.now = float(NOW)
        self.token = ProviderToken(Signer())
        self.token.header(self.now)

    @rule(step=st.floats(0, 4000))
    def pass_time(self, step: float) -> None:
        self.now += step

    @rule()
    def expired(self) -> None:
        self.token.early_step(self.now)

    @rule()
    def too_many(self) -> None:
        self.token.keep(self.now)

    @invariant()
    def in_bounds(self) -> None:
        header = self.token.header(self.now)
        assert header == b"bearer token-%d" % self.token.iat
        assert -STEP <= self.token.age(self.now) <= MAX_AGE + 1


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40)
