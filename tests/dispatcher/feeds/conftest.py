"""A loop under the test's hand, and an event with a value everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.loop import FakeLoop
from tubepost_dispatcher.feeds.events import EventKind, LogEvent


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def make_event() -> Callable[..., LogEvent]:
    def make(kind: EventKind = "delivery", time: float = 1767225600.25, **changes: Any) -> LogEvent:
        values: dict[str, Any] = {
            "message_id": "0f3a-7",
            "source_address": "alerts@example.com",
            "destination_address": "user",
            "domain": "apn_example.com",
            "device_token": "a1b2c3d4" * 8,
            "apns_id": "123e4567-e89b-12d3-a456-426614174000",
            "message_bytes": 731,
            "route": "production",
            "push_domain": "alerts",
            "client_address": "10.0.0.3",
        }
        return LogEvent(kind, time, **{**values, **changes})

    return make
