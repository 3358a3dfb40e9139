from __future__ import annotations

import json

import h2.config
import h2.connection
import h2.events
import pytest

from tubepost_simulator.reasons import Reason
from tubepost_simulator.wire import (
    MalformedRequestError,
    error_body,
    goaway_data,
    goaway_frame,
    read_fields,
)

PSEUDO = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/3/device/ab"), (b":authority", b"x")]


def test_a_goaway_is_read_by_another_implementation() -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    (event,) = (
        event
        for event in client.receive_data(settings + goaway_frame(7, 11, goaway_data("Shutdown")))
        if isinstance(event, h2.events.ConnectionTerminated)
    )
    assert (event.last_stream_id, event.error_code) == (7, 11)
    assert json.loads(event.additional_data or b"") == {"reason": "Shutdown"}
    assert goaway_data("") == b""


def test_error_bodies() -> None:
    assert json.loads(error_body(Reason.BAD_TOPIC, 0)) == {"reason": "BadTopic"}
    assert json.loads(error_body(Reason.UNREGISTERED, 5)) == {"reason": "Unregistered", "timestamp": 5}


def test_a_block_is_split() -> None:
    assert read_fields([*PSEUDO, (b"apns-id", b"1"), (b"te", b"trailers")]) == (
        "POST",
        "/3/device/ab",
        [("apns-id", "1"), ("te", "trailers")],
    )


@pytest.mark.parametrize(
    "headers",
    [
        PSEUDO[1:],
        PSEUDO[:2],
        [*PSEUDO, (b":method", b"GET")],
        [*PSEUDO, (b"a", b"b"), (b":status", b"200")],
        [*PSEUDO, (b":status", b"200")],
        [*PSEUDO, (b"Upper", b"case")],
        [*PSEUDO, (b"connection", b"close")],
        [*PSEUDO, (b"te", b"gzip")],
        [*PSEUDO, (b"a", b"b\r\nc: d")],
        [*PSEUDO, (b"a", b" b")],
        [*PSEUDO, (b"", b"b")],
    ],
)
def test_malformed_blocks(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MalformedRequestError):
        read_fields(headers)
