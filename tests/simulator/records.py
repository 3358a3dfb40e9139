"""Notifications as the simulator records them, without a connection."""

from __future__ import annotations

from typing import Any

from tubepost_simulator import Notification

_VALUES: dict[str, Any] = {
    "number": 0,
    "received_at": 1_000.0,
    "apns_id": "a",
    "token": "ab12",
    "topic": "com.example.app",
    "push_type": "alert",
    "priority": None,
    "expiration": None,
    "collapse_id": None,
    "payload": b'{"aps":{"alert":"Hello"}}',
    "auth": "token",
    "identity": "TEAM/KEY",
    "connection": 1,
    "stream": 1,
    "status": 200,
    "reason": "",
    "detail": "",
    "answered": True,
}


def record(**changes: Any) -> Notification:
    return Notification(**{**_VALUES, **changes})
