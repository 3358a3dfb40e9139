from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.channel.channel import MAX_MESSAGE, Channel
from tubepost_dispatcher.channel.codec import Malformed, encode
from tubepost_dispatcher.channel.messages import (
    Alive,
    Configured,
    Drain,
    Envelope,
    GetStatus,
    Message,
    ReopenLogs,
    Status,
)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


def _channel(got: list[Message]) -> tuple[Channel, Wire]:
    channel, wire = Channel(lambda message, _: got.append(message), lambda: None), Wire()
    channel.connection_made(wire)
    return channel, wire


@given(st.lists(st.lists(st.text(max_size=5), max_size=3), max_size=5), st.data())
def test_messages_arrive_whole_however_they_are_cut(messages: list[list[str]], data: st.DataObject) -> None:
    got: list[Message] = []
    sender, wire = _channel([])
    receiver, _ = _channel(got)
    sent = [Configured(tuple(problems)) for problems in messages]
    for message in sent:
        sender.send(message)
    rest = bytes(wire.written)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        receiver.data_received(rest[:size])
        rest = rest[size:]
    assert got == sent


def test_a_length_beyond_reason_ends_the_line() -> None:
    got: list[Message] = []
    channel, wire = _channel(got)
    channel.data_received((MAX_MESSAGE + 1).to_bytes(4, "big") + b"x" * 100)
    assert wire.closed
    assert got == []


def test_after_the_end_nothing_is_sent() -> None:
    ends: list[int] = []
    channel = Channel(lambda *_: None, lambda: ends.append(1))
    channel.send(Alive())
    wire = Wire()
    channel.connection_made(wire)
    channel.connection_lost(None)
    channel.send(Alive())
    assert wire.written == b""
    assert channel.closed
    assert ends == [1]


async def test_what_was_sent_before_the_end_arrives() -> None:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    got: list[Message] = []
    ended = asyncio.Event()
    sender = Channel(lambda *_: None, lambda: None)
    receiver = Channel(lambda message, _: got.append(message), ended.set)
    for sock, channel in ((here, sender), (there, receiver)):
        sock.setblocking(False)
        await loop.create_unix_connection(lambda channel=channel: channel, sock=sock)  # type: ignore[misc]
    sender.send(Configured(("x" * 3_000_000,)))
    sender.close()
    async with asyncio.timeout(20):
        await ended.wait()
    assert got == [Configured(("x" * 3_000_000,))]
    receiver.close()


def test_what_is_no_message_ends_the_line(caplog: pytest.LogCaptureFixture) -> None:
    got: list[Message] = []
    channel, wire = _channel(got)
    channel.data_received(_frame(b'{"message": {"type": "secret word"}}') + _frame(encode(Envelope(Alive()))))
    assert wire.closed
    assert got == []
    assert "secret word" not in caplog.text


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class Pair:
    """Two channels that hear each other at once; the far end answers by hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[Message, int]] = []
        self.told: list[Message] = []
        self.near = Channel(lambda message, _: self.told.append(message), lambda: None)
        self.far = Channel(lambda message, request: self.asked.append((message, request)), lambda: None)
        for one, other in ((self.near, self.far), (self.far, self.near)):
            wire = Wire()
            wire.write = other.data_received  # type: ignore[assignment, method-assign]
            one.connection_made(wire)

    def ask(self, message: Message, timeout: float | None = 10.0) -> asyncio.Task[Status]:
        return asyncio.create_task(self.near.request(message, Status, timeout))


async def test_answers_find_their_requests_in_any_order() -> None:
    pair = Pair()
    first, second = pair.ask(GetStatus()), pair.ask(GetStatus())
    await asyncio.sleep(0)
    pair.near.send(ReopenLogs())
    assert [message for message, _ in pair.asked] == [GetStatus(), GetStatus(), ReopenLogs()]
    (_, one), (_, two), (_, none) = pair.asked
    assert (one != two, none) == (True, 0)
    pair.far.send(Status({}, {"number": 2}), reply_to=two)
    pair.far.send(Status({}, {"number": 0}))
    pair.far.send(Status({}, {"number": 1}), reply_to=one)
    assert [(await task).status for task in (first, second)] == [{"number": 1}, {"number": 2}]
    assert len(pair.told) == 3, "answers are told like other messages"
    assert not pair.near._waiting


async def test_no_answer_and_a_late_one() -> None:
    pair = Pair()
    with pytest.raises(TimeoutError):
        await pair.ask(GetStatus(), 0.01)
    pair.far.send(Status({}, None), reply_to=pair.asked[0][1])
    assert not pair.near._waiting


async def test_an_answer_of_another_type() -> None:
    pair = Pair()
    task = pair.ask(GetStatus())
    await asyncio.sleep(0)
    pair.far.send(Alive(), reply_to=1)
    with pytest.raises(Malformed, match="Alive is no answer to GetStatus"):
        await task


async def test_after_a_failure_nothing_is_awaited() -> None:
    pair = Pair()
    task = pair.ask(Drain(1.0), None)
    await asyncio.sleep(0)
    pair.near.fail(OSError("gone"))
    for call in (task, pair.ask(GetStatus())):
        with pytest.raises(OSError, match="gone"):
            await call
