from __future__ import annotations

import logging

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED, FakePool, Told, domain, notification
from tubepost_dispatcher.delivery.debug_listener import DebugListener
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy


def delivery() -> Delivery:
    serving = domain(FakePool())
    made = Delivery(notification(), serving, Told(), RetryPolicy(1.0, 1.0), 10.0, 0.0)
    made.route = serving.routes[0]
    made.notification.attempt = 2
    return made


def test_attempts_and_ends_are_told_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tubepost")
    what, listener = delivery(), DebugListener()
    listener.attempted(what, BUSY, 0.25)
    listener.ended(what, DELIVERED, 1.0)
    first, second = (record.getMessage() for record in caplog.records)
    name = what.notification.message_id
    assert first.startswith(f"message {name}: attempt 2 by route route0: transient ServiceUnavailable (503)")
    assert "after 250.0 ms, apns-id " in first
    assert second.startswith(f"message {name}: ended, delivered")


def test_at_info_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost")
    DebugListener().attempted(delivery(), BUSY, 0.25)
    DebugListener().ended(delivery(), BUSY, 0.25)
    assert caplog.records == []
