from __future__ import annotations

import asyncio
import socket

from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.bundles import SECRETS, bundle
from tubepost_dispatcher.channel import MAX_MESSAGE, Channel, Message, pack_bundle, unpack_bundle


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
    channel, wire = Channel(got.append, lambda: None), Wire()
    channel.connection_made(wire)
    return channel, wire


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(-1000, 1000)), max_size=5), st.data())
def test_messages_arrive_whole_however_they_are_cut(
    messages: list[dict[str, int]], data: st.DataObject
) -> None:
    got: list[Message] = []
    sender, wire = _channel([])
    receiver, _ = _channel(got)
    for fields in messages:
        sender.send("x", fields=fields)
    rest = bytes(wire.written)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        receiver.data_received(rest[:size])
        rest = rest[size:]
    assert got == [{"op": "x", "fields": fields} for fields in messages]


def test_a_length_beyond_reason_ends_the_line() -> None:
    got: list[Message] = []
    channel, wire = _channel(got)
    channel.data_received((MAX_MESSAGE + 1).to_bytes(4, "big") + b"x" * 100)
    assert wire.closed
    assert got == []


def test_after_the_end_nothing_is_sent() -> None:
    ends: list[int] = []
    channel = Channel(lambda _: None, lambda: ends.append(1))
    channel.send("early")
    wire = Wire()
    channel.connection_made(wire)
    channel.connection_lost(None)
    channel.send("late")
    assert wire.written == b""
    assert channel.closed
    assert ends == [1]


async def test_what_was_sent_before_the_end_arrives() -> None:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    got: list[Message] = []
    ended = asyncio.Event()
    sender = Channel(lambda _: None, lambda: None)
    receiver = Channel(got.append, ended.set)
    for sock, channel in ((here, sender), (there, receiver)):
        sock.setblocking(False)
        await loop.create_unix_connection(lambda channel=channel: channel, sock=sock)  # type: ignore[misc]
    sender.send("last", words="x" * 3_000_000)
    sender.close()
    async with asyncio.timeout(20):
        await ended.wait()
    assert [len(message["words"]) for message in got] == [3_000_000]
    receiver.close()


def test_a_bundle_survives_the_way() -> None:
    given_bundle = bundle(secrets={**SECRETS, "token": {"key.p8": b"\xff\x00"}})
    packed = pack_bundle(given_bundle)
    got = unpack_bundle(packed)
    assert got.config == given_bundle.config
    assert got.secrets == given_bundle.secrets
    assert got.digest() == given_bundle.digest()
    assert "\xff" not in repr(got)
