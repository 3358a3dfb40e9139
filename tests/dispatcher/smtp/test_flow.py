from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tests.dispatcher.smtp.support import FakeTransport
from tubepost_dispatcher.smtp import flow


def test_reading_goes_on_when_the_last_reason_is_gone() -> None:
    transport = FakeTransport()
    reading = flow.Reading(cast(asyncio.Transport, transport))
    reading.resume(flow.HELD)
    reading.pause(flow.HELD)
    reading.pause(flow.WRITE)
    assert transport.paused
    reading.resume(flow.HELD | flow.TURN)
    assert transport.paused
    reading.resume(flow.WRITE)
    assert not transport.paused


def test_a_closed_connection_is_left_alone() -> None:
    transport = FakeTransport()
    reading = flow.Reading(cast(asyncio.Transport, transport))
    transport.close()
    reading.pause(flow.HELD)
    reading.resume(flow.HELD)
    assert not transport.paused


@pytest.mark.parametrize(
    ("held", "quits"),
    [
        (b"QUIT\r\n", True),
        (b"quit \r\n", True),
        (b"RSET\r\nQUIT\r\n", True),
        (b"", False),
        (b"QUIT", False),
        (b"NOOP QUIT\r\n", False),
        (b"QUITE\r\n", False),
    ],
)
def test_a_buffered_quit_is_found(held: bytes, quits: bool) -> None:
    assert flow.says_quit(held) is quits
