from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.feeds.events import LogEvent
from tubepost_dispatcher.feeds.json_format import FIELDS, json_heartbeat, json_line

MakeEvent = Callable[..., LogEvent]
UNDER_LOAD = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOKEN = "a1b2c3d4" * 8


def test_a_delivery(make_event: MakeEvent) -> None:
    event = make_event(topic="com.example.app", push_type="alert", duration_ms=41.23456)
    assert json.loads(json_line(event)) == {
        "time": "2026-01-01T00:00:00.250Z",
        "event": "delivery",
        "pushDomain": "alerts",
        "messageId": "0f3a-7",
        "apnsId": "123e4567-e89b-12d3-a456-426614174000",
        "domain": "apn_example.com",
        "route": "production",
        "source": "alerts@example.com",
        "destination": "user",
        "tokenPrefix": "a1b2c3d4",
        "topic": "com.example.app",
        "pushType": "alert",
        "messageBytes": 731,
        "remoteIp": "10.0.0.3",
        "attempt": 1,
        "durationMs": 41.235,
        "status": 0,
    }


def test_a_dead_token_is_the_only_one_in_full(make_event: MakeEvent) -> None:
    dead = {"http_status": 410, "reason": "Unregistered", "error": "Unregistered", "status": 8}
    record = json.loads(json_line(make_event("permfail", **dead, dead_token_timestamp=1767139200000)))
    assert record["deadToken"] == TOKEN
    assert record["deadTokenTimestamp"] == 1767139200000
    assert record["httpStatus"] == 410
    assert "deadTokenTimestamp" not in json.loads(json_line(make_event("permfail", **dead)))
    assert b"deadToken" not in json_line(make_event("permfail", http_status=400, reason="BadDeviceToken"))


def test_the_token_does_not_slip_in_by_other_fields(make_event: MakeEvent) -> None:
    context = {"DLV_Dest_ID": TOKEN, "copy": TOKEN, "campaign": "x"}
    line = json_line(make_event("tempfail", destination_address=TOKEN.upper(), context=context))
    assert TOKEN.encode() not in line.lower()
    record = json.loads(line)
    assert record["destination"] == "A1B2C3D4..."
    assert record["context"] == {"copy": "a1b2c3d4...", "campaign": "x"}
    assert "context" not in json.loads(json_line(make_event(context={"DLV_Dest_ID": TOKEN})))


def test_a_user_is_named_where_there_is_one(make_event: MakeEvent) -> None:
    assert json.loads(json_line(make_event(user="app")))["user"] == "app"
    assert "user" not in json.loads(json_line(make_event()))


def test_the_reference_names_every_field_and_no_other(make_event: MakeEvent) -> None:
    full = json_line(
        make_event(
            "permfail",
            http_status=410,
            dead_token_timestamp=1,
            user="app",
            context={"campaign": "x"},
            channel_id="dHN0LXNyY2gtY2hubA==",
            peer="192.0.2.7",
            sent_bytes=400,
            unique_id="5a6b",
        )
    )
    assert list(json.loads(full)) == [field.name for field in FIELDS]
    kinds = {"string": str, "integer": int, "number": float, "object": dict}
    for field in FIELDS:
        assert isinstance(json.loads(full)[field.name], kinds[field.type]), field.name


@UNDER_LOAD
@given(st.text(st.characters(exclude_categories=())))
def test_any_text_comes_back_from_one_printable_line(text: str) -> None:
    event = LogEvent("tempfail", 0.0, source_address=text, error=text, context={"name": text})
    line = json_line(event)
    assert len(line.decode().splitlines()) == 1
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line.decode())
    record = json.loads(line)
    assert record["source"] == record["error"] == record["context"]["name"] == text


def test_the_heartbeat() -> None:
    record: dict[str, Any] = json.loads(json_heartbeat(1767225660.0, "alerts"))
    assert record == {"time": "2026-01-01T00:01:00.000Z", "event": "heartbeat", "pushDomain": "alerts"}


def test_a_broadcast_shows_its_channel(make_event: MakeEvent) -> None:
    record = json.loads(json_line(make_event(device_token="", channel_id="dHN0LXNyY2gtY2hubA==")))
    assert (record["channelId"], record["tokenPrefix"]) == ("dHN0LXNyY2gtY2hubA==", "")
    assert "channelId" not in json.loads(json_line(make_event()))
