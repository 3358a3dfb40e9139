from __future__ import annotations

from typing import Any

import pytest

from tests.policy.facts import request_facts
from tubepost_policy import Request
from tubepost_policy.request import changes_of


def request(**values: Any) -> Request:
    return Request(request_facts(**values))


def test_reading_changes_nothing() -> None:
    req = request()
    assert (req.token, req.topic, req.push_type, req.priority) == ("ab" * 32, "com.example.app", "alert", 10)
    assert req.json == {"aps": {"alert": "Hi"}}
    assert req.payload == b'{"aps": {"alert": "Hi"}}'
    assert (req.command, req.expiry, req.collapse_id) == (2, 1_800_000_000, "")
    assert changes_of(req) == {}


def test_what_is_set_is_a_change() -> None:
    req = request()
    req.priority = 5
    req.expiry = 0
    req.topic = "com.example.app.voip"
    req.json["aps"]["alert"] = "Grüße"
    assert changes_of(req) == {
        "priority": 5, "expiration": 0, "topic": "com.example.app.voip",
        "payload": '{"aps":{"alert":"Grüße"}}',
    }  # fmt: skip


def test_the_payload_may_be_set_in_three_ways() -> None:
    for value in (b'{"x":1}', '{"x":1}'):
        req = request()
        req.payload = value  # type: ignore[assignment]
        assert req.json == {"x": 1}
        assert changes_of(req) == {"payload": '{"x":1}'}
    req = request()
    req.json = {"x": 1}
    assert req.payload == b'{"x":1}'


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("priority", "10", TypeError),
        ("priority", True, TypeError),
        ("token", b"ab", TypeError),
        ("payload", {"x": 1}, TypeError),
        ("json", [], TypeError),
        ("titel", "x", AttributeError),
    ],
)
def test_what_a_request_cannot_hold_is_told_at_once(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        setattr(request(), name, value)
