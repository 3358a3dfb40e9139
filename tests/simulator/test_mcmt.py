"""What the simulator gives back as a message is read by the dispatcher as the notification that it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.records import record
from tubepost_dispatcher.intake.mcmt.message import McmtMessage
from tubepost_dispatcher.intake.mcmt.parser import parse_message
from tubepost_dispatcher.notification import PushPart
from tubepost_simulator import Notification
from tubepost_simulator.mcmt import is_recipient, mcmt_message

TOKEN = "ab" * 32


def read_back(notification: Notification) -> PushPart:
    parsed = parse_message(mcmt_message(notification), recipient_local_part="device")
    assert isinstance(parsed, McmtMessage), parsed
    (part,) = parsed.parts
    return part


def test_everything_that_a_sender_can_say_is_said() -> None:
    sent = record(
        token=TOKEN, priority=5, expiration=1_800_000_000, collapse_id="order-7", push_type="background"
    )
    part = read_back(sent)
    assert part.token == TOKEN.encode()
    assert (part.topic, part.push_type, part.priority) == (b"com.example.app", b"background", 5)
    assert (part.expiration, part.collapse_id) == (1_800_000_000, b"order-7")
    assert part.payload == sent.payload
    assert part.warnings == ()


def test_what_it_did_not_say_is_left_out() -> None:
    part = read_back(record(token=TOKEN))
    assert (part.priority, part.expiration, part.collapse_id, part.apns_id) == (None, None, None, None)
    assert read_back(record(token=TOKEN, expiration=0)).expiration == 0


def test_a_broadcast_names_its_channel() -> None:
    message = mcmt_message(record(token="", channel_id="dHN0LXNyY2gtY2hubA=="))
    assert b"apns-channel-id: dHN0LXNyY2gtY2hubA==\r\n" in message
    assert b"X-Device-Token" not in message


def test_the_recipient_is_the_one_that_was_asked_for() -> None:
    assert mcmt_message(record(), "x@push.example.com").startswith(
        b"From: app@example.com\r\nTo: x@push.example.com\r\nMIME-Version: 1.0\r\n"
    )


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "@b", "a", "a@b\r\nX: y", "a@b c", "a" * 300 + "@b.c", "a@b\0"]
)
def test_what_is_no_recipient(text: str) -> None:
    assert not is_recipient(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_every_payload_comes_back(value: Any, indent: int | None, ascii_only: bool) -> None:
    document = {"aps": {"alert": "x"}, "more": value}
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    payload = text.encode("utf-8", "replace")
    assert json.loads(read_back(record(token=TOKEN, payload=payload)).payload) == json.loads(payload)


@given(st.text(max_size=200))
def test_a_header_cannot_bring_another(text: str) -> None:
    message = mcmt_message(record(topic=text, collapse_id=text))
    head = message.split(b"\r\n\r\n")[2]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")]
    assert set(names) <= {b"X-Device-Token", b"apns-topic", b"apns-push-type", b"apns-collapse-id"}
    assert len(set(names)) == len(names)
    assert message.replace(b"\r\n", b"").count(b"\n") == 0
