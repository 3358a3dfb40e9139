"""What the dispatcher tells hooks of a message, made by hand."""

from __future__ import annotations

from typing import Any

from tubepost_policy import Message, Outcome

DEAD = {"kind": "permanent", "reason": "Unregistered", "status": 410, "legacy": 8, "timestamp": 5}


def facts(**values: Any) -> dict[str, Any]:
    return {
        "id": "m1",
        "sender": "a@b.example",
        "returnPath": "bounce@b.example",
        "recipient": "r@apn_d.example",
        "domain": "apn_d.example",
        "token": "ab" * 32,
        "apnsId": "00000000-0000-4000-8000-000000000001",
        "payload": '{"aps": {"alert": "Hi"}}',
        "acceptedAt": 1.0,
        "attempt": 1,
        "context": {"DLV_Transaction_ID": "x"},
        **values,
    }


def message(outcome: dict[str, Any] | None = None, **values: Any) -> Message:
    return Message(facts(**values), None if outcome is None else Outcome(outcome))


def request_facts(**values: Any) -> dict[str, Any]:
    return {
        "token": "ab" * 32,
        "payload": '{"aps": {"alert": "Hi"}}',
        "topic": "com.example.app",
        "push_type": "alert",
        "priority": 10,
        "expiration": 1_800_000_000,
        "collapse_id": "",
        "id": "00000000-0000-4000-8000-000000000001",
        **values,
    }
