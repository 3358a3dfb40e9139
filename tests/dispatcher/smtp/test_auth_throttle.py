from __future__ import annotations

import base64
import logging

import pytest

from tests.dispatcher.smtp.support import Wire, listener
from tubepost_api.config import AuthConfig
from tubepost_dispatcher.smtp import auth_throttle as module
from tubepost_dispatcher.smtp.auth_throttle import FORGOTTEN_AFTER, FREE, MAX_KEPT, AuthThrottle


@pytest.fixture
def throttle() -> AuthThrottle:
    return AuthThrottle()


def fail(
    throttle: AuthThrottle, times: int, *, address: str = "192.0.2.7", name: bytes = b"app", now: float = 0.0
) -> None:
    for _ in range(times):
        throttle.failed(address, name, now)


def test_some_failures_cost_nothing_then_the_wait_doubles(throttle: AuthThrottle) -> None:
    fail(throttle, FREE - 1)
    assert throttle.wait("192.0.2.7", b"app", 0.0) == 0
    waits = []
    for _ in range(9):
        fail(throttle, 1)
        waits.append(throttle.wait("192.0.2.7", b"app", 0.0))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert throttle.wait("192.0.2.7", b"app", 59.0) == 1
    assert throttle.wait("192.0.2.7", b"app", 60.0) == 0


def test_the_name_does_not_matter(throttle: AuthThrottle) -> None:
    for number in range(FREE):
        fail(throttle, 1, name=b"%d" % number)
    assert throttle.wait("192.0.2.7", b"new", 0.0) == 1
    assert throttle.wait("192.0.2.8", b"new", 0.0) == 0


def test_a_client_of_ipv6_is_its_64(throttle: AuthThrottle) -> None:
    for number in range(FREE):
        fail(throttle, 1, address=f"2001:db8::{number}")
    assert throttle.wait("2001:db8::ffff", b"app", 0.0) == 1
    assert throttle.wait("2001:db8:0:1::1", b"app", 0.0) == 0


def test_a_client_that_waits_long_enough_starts_anew(throttle: AuthThrottle) -> None:
    fail(throttle, FREE + 3)
    fail(throttle, 1, now=FORGOTTEN_AFTER)
    assert throttle.wait("192.0.2.7", b"app", FORGOTTEN_AFTER) == 16
    later = 3 * FORGOTTEN_AFTER
    fail(throttle, 1, now=later)
    assert throttle.wait("192.0.2.7", b"app", later) == 0


def test_a_name_that_authenticates_from_there_is_not_locked_out(throttle: AuthThrottle) -> None:
    throttle.succeeded("192.0.2.7", b"app")
    fail(throttle, 100, name=b"guess")
    assert throttle.wait("192.0.2.7", b"guess", 0.0) == 60
    assert throttle.wait("192.0.2.7", b"app", 0.0) == 0
    fail(throttle, 100)
    assert throttle.wait("192.0.2.7", b"app", 0.0) == 5
    assert throttle.wait("192.0.2.7", b"app", 5.0) == 0
    throttle.succeeded("192.0.2.7", b"app")
    fail(throttle, FREE - 1, now=5.0)
    assert throttle.wait("192.0.2.7", b"app", 5.0) == 0


def test_a_success_does_not_forgive_guesses_at_other_names(throttle: AuthThrottle) -> None:
    fail(throttle, FREE, name=b"guess")
    throttle.succeeded("192.0.2.7", b"app")
    assert throttle.wait("192.0.2.7", b"guess", 0.0) == 1


def test_a_success_elsewhere_proves_nothing_here(throttle: AuthThrottle) -> None:
    throttle.succeeded("192.0.2.8", b"app")
    fail(throttle, FREE, name=b"guess")
    assert throttle.wait("192.0.2.7", b"app", 0.0) == 1


def test_memory_is_bounded_and_keeps_the_latest(
    throttle: AuthThrottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_KEPT == 4_096
    monkeypatch.setattr(module, "MAX_KEPT", 10)
    for number in range(100):
        fail(throttle, FREE, address=f"10.0.0.{number}")
        throttle.succeeded(f"10.1.0.{number}", b"app")
    assert len(throttle._failures) == len(throttle._proved) == 10
    assert throttle.wait("10.0.0.99", b"x", 0.0) == 1
    assert throttle.wait("10.0.0.0", b"x", 0.0) == 0


USERS = {"app": "right"}


def plain(name: str, password: str) -> bytes:
    return b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()) + b"\r\n"


class TestInSessions:
    """The listener's use of it."""

    THROTTLED = b"421 4.7.0 Too many failed authentications from your address, try later\r\n"

    @pytest.fixture
    def wire(self) -> Wire:
        return Wire(listener(auth=AuthConfig(secret="s", require_tls=False)), users=USERS)

    @staticmethod
    def attempt(wire: Wire, line: bytes) -> bytes:
        """The reply to AUTH in a session of its own."""
        other = Wire(beside=wire)
        other.hello()
        return other.send(line)

    def guess(self, wire: Wire, times: int) -> list[bytes]:
        return [self.attempt(wire, plain("app", f"wrong-{number}"))[:3] for number in range(times)]

    def test_reconnecting_does_not_help(self, wire: Wire) -> None:
        assert self.guess(wire, 20) == [b"535"] * FREE + [b"421"] * (20 - FREE)

    def test_nothing_is_compared_while_a_client_waits(self, wire: Wire) -> None:
        self.guess(wire, FREE)
        assert self.attempt(wire, plain("app", "right")) == self.THROTTLED
        wire.listener.now += 1
        assert self.attempt(wire, plain("app", "right")).startswith(b"235 ")

    def test_a_user_of_the_same_address_goes_on(self, wire: Wire) -> None:
        assert self.attempt(wire, plain("app", "right")).startswith(b"235 ")
        for number in range(20):
            self.attempt(wire, plain(f"user-{number}", "guess"))
        assert self.attempt(wire, plain("other", "guess")) == self.THROTTLED
        assert self.attempt(wire, plain("app", "right")).startswith(b"235 ")

    @pytest.mark.parametrize(
        "lines", [[b"AUTH LOGIN", b"YXBw", b"d3Jvbmc="], [b"AUTH PLAIN", b"AGFwcAB3cm9uZw=="]]
    )
    def test_every_form_of_auth_counts(self, wire: Wire, lines: list[bytes]) -> None:
        replies = []
        for _ in range(FREE + 1):
            other = Wire(beside=wire).hello()
            replies.append([other.send(line + b"\r\n") for line in lines][-1][:3])
        assert replies == [b"535"] * FREE + [b"421"]

    def test_what_is_not_a_guess_does_not_count(self, wire: Wire) -> None:
        for _ in range(20):
            self.attempt(wire, b"AUTH PLAIN !!!\r\n")
            self.attempt(wire, b"AUTH LOGIN\r\n*\r\n")
        assert self.guess(wire, 1) == [b"535"]

    def test_lines_name_the_user_and_never_the_password(
        self, wire: Wire, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "tubepost"):
            self.guess(wire, FREE + 1)
        first, last = caplog.records[0].getMessage(), caplog.records[-1].getMessage()
        assert first.endswith(
            'auth refused, AuthFailed: 535 5.7.8 Authentication credentials invalid (user "app")'
        )
        assert last.endswith('try later (user "app", not compared for another 1 s)')
        assert "wrong" not in caplog.text
