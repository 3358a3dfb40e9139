from __future__ import annotations

from tubepost_dispatcher.apns.breaker import HOLD_FIRST, Hold


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
