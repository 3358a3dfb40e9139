"""A loop whose time and turns a test moves by hand, and an event with a value everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tubepost_dispatcher.logging.events import EventKind, LogEvent


class ManualHandle:
    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    def __init__(self) -> None:
        self.now = 1000.0
        self.handles: list[ManualHandle] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object], /) -> ManualHandle:
        return self.call_later(0.0, callback)

    def call_later(self, delay: float, callback: Callable[[], object], /) -> ManualHandle:
        handle = ManualHandle(self.now + delay, callback)
        self.handles.append(handle)
        return handle

    def turn(self) -> int:
        """Run what is due now; returns how many callbacks ran."""
        due = [handle for handle in self.handles if handle.due <= self.now and not handle.cancelled]
        self.handles = [handle for handle in self.handles if handle.due > self.now and not handle.cancelled]
        for handle in due:
            if not handle.cancelled:
                handle.callback()
        return len(due)

    def advance(self, seconds: float) -> None:
        """Let time pass, running everything in its order."""
        end = self.now + seconds
        while True:
            waiting = [handle.due for handle in self.handles if not handle.cancelled and handle.due <= end]
            if not waiting:
                break
            self.now = max(self.now, min(waiting))
            self.turn()
        self.now = end


@pytest.fixture
def loop() -> ManualLoop:
    return ManualLoop()


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
            "remote_ip": "10.0.0.3",
        }
        return LogEvent(kind, time, **{**values, **changes})

    return make
