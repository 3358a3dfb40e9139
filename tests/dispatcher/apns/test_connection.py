"""A connection between a transport and a pool that only take notes; time is moved by hand."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from tests.dispatcher.apns.http2.wire import BLOCK, goaway, ok, split
from tests.dispatcher.apns.support import Outcomes, request
from tests.support.loop import FakeLoop
from tubepost_dispatcher.apns.connection import Connection, Request, Result, describe
from tubepost_dispatcher.apns.dialing import DialError
from tubepost_dispatcher.apns.http2 import frames
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import StreamError


class Loop(FakeLoop):
    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = ""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.7", 443) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def kinds(self) -> list[int]:
        """Frame types written since the last call."""
        found = [one.kind for one in split(b"".join(self.written))]
        self.written.clear()
        return found


def alert() -> ssl.SSLError:
    error = ssl.SSLError(1, "alert")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    return error


class Notes:
    """The pool's place."""

    idle_timeout = 300.0

    def __init__(self) -> None:
        self.told: list[tuple[Request, Result]] = []
        self.late: list[Request] = []
        self.ends: list[str] = []

    def results(self, connection: Connection, results: list[Result], now: float) -> None:
        self.told += [(result.key, result) for result in results]

    def timed_out(self, connection: Connection, request: Request) -> None:
        self.late.append(request)

    def changed(self, connection: Connection) -> None:
        pass

    def closed(self, connection: Connection) -> None:
        self.ends.append(connection.cause)


class Bench:
    def __init__(self, *, ready: bool = True) -> None:
        self.loop = Loop()
        self.notes = Notes()
        self.transport = Transport()
        self.connection = Connection(self.notes, Engine(), self.loop, self.loop.clock)
        self.connection.connection_made(self.transport)
        if ready:
            self.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 100}))
        self.transport.written.clear()

    def receive(self, data: bytes) -> None:
        self.connection.data_received(data)
        self.loop.run_until_idle()

    def send(self, **changes: Any) -> Request:
        item = request(Outcomes(), **changes)
        self.connection.submit(item, BLOCK, self.loop.now)
        self.connection.flush()
        return item


def test_it_is_usable_from_the_servers_settings_to_its_goaway() -> None:
    bench = Bench(ready=False)
    assert not bench.connection.usable
    assert bench.connection.capacity(bench.loop.now) == 0
    bench.receive(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 7}))
    assert bench.connection.usable
    assert bench.connection.capacity(bench.loop.now) == 7
    bench.send()
    bench.receive(goaway(1))
    assert not bench.connection.usable
    assert not bench.notes.ends
    bench.receive(ok(1))
    assert bench.notes.ends == ["goaway"]


def test_a_result_comes_with_its_request_which_knows_when_it_was_sent() -> None:
    bench = Bench()
    sent = bench.loop.now
    item = bench.send()
    bench.loop.advance(0.5)
    bench.receive(ok(1))
    ((told, result),) = bench.notes.told
    assert told is item
    assert result.status == 200
    assert item.sent_at == sent
    assert (item.sent_bytes, item.peer) == (len(BLOCK) + len(item.payload), "192.0.2.7")
    assert describe(bench.connection, bench.loop.now)["streams"] == 0


def test_an_answer_that_does_not_come_is_a_reset_stream_and_the_connection_goes_on() -> None:
    bench = Bench()
    item = bench.send(response_timeout=10.0)
    bench.loop.advance(4.1)
    assert frames.PING in bench.transport.kinds()
    bench.receive(frames.ping(b"tubepost", frames.ACK))
    bench.loop.advance(4.0)
    bench.receive(frames.ping(b"12345678"))
    bench.loop.advance(2.0)
    assert bench.notes.late == [item]
    assert frames.RST_STREAM in bench.transport.kinds()
    assert bench.connection.usable


def test_a_server_that_answers_no_ping_is_dead_and_what_waited_is_lost() -> None:
    bench = Bench()
    item = bench.send(response_timeout=10.0)
    bench.loop.advance(9.9)
    assert bench.notes.ends == ["silent"]
    assert bench.transport.ended == "aborted"
    assert not bench.notes.late
    ((told, result),) = bench.notes.told
    assert (told, result.error) == (item, StreamError.LOST)


def test_without_requests_it_closes_at_its_time() -> None:
    bench = Bench()
    bench.notes.idle_timeout = 30.0
    bench.send()
    bench.receive(ok(1))
    bench.loop.advance(29.0)
    assert not bench.notes.ends
    bench.loop.advance(40.0)
    assert bench.notes.ends == ["idle"]
    assert bench.transport.kinds()[-1] == frames.GOAWAY


def test_retired_it_takes_nothing_and_closes_behind_its_last_answer() -> None:
    bench = Bench()
    bench.send()
    bench.connection.retire()
    bench.loop.run_until_idle()
    assert bench.connection.capacity(bench.loop.now) == 0
    assert not bench.notes.ends
    bench.receive(ok(1))
    assert bench.notes.ends == ["retired"]


def test_a_peer_that_reads_slowly_gets_no_more() -> None:
    bench = Bench()
    bench.connection.pause_writing()
    assert bench.connection.capacity(bench.loop.now) == 0
    bench.connection.flush()
    assert not bench.transport.written
    bench.connection.resume_writing()
    assert bench.connection.capacity(bench.loop.now) > 0


@pytest.mark.parametrize(
    ("error", "cause"),
    [(None, "closed"), (ConnectionResetError("reset"), "lost"), (alert(), "tls")],
)
def test_the_end_of_the_transport_says_why(error: Exception | None, cause: str) -> None:
    bench = Bench()
    bench.send()
    bench.connection.connection_lost(error)
    assert bench.notes.ends == [cause]
    assert [result.error for _, result in bench.notes.told] == [StreamError.LOST]
    bench.connection.connection_lost(None)
    assert bench.notes.ends == [cause]


@pytest.mark.parametrize(("error", "reason"), [(None, "ConnectFailed"), (alert(), "TlsFailed")])
async def test_an_end_before_http2_began_is_a_failure_to_connect(
    error: Exception | None, reason: str
) -> None:
    notes = Notes()
    loop = asyncio.get_running_loop()
    connection = Connection(notes, Engine(), loop, loop.time)
    connection.connection_made(Transport())
    connection.connection_lost(error)
    with pytest.raises(DialError) as caught:
        await connection.wait_ready()
    assert caught.value.reason == reason


def test_a_peer_that_breaks_http2_is_told_and_read_no_further() -> None:
    bench = Bench()
    bench.connection.data_received(frames.window_update(0, 0))
    assert bench.notes.ends == ["protocol"]
    assert bench.transport.kinds() == [frames.GOAWAY]
    assert bench.transport.ended == "", "the event loop writes what was given to it, then"
    bench.loop.run_until_idle()
    assert bench.transport.ended == "aborted"


def begun(stream_id: int, status: bytes = b"\x88") -> bytes:
    """HEADERS that begin an answer, 200 by default, without its end."""
    return frames.HEAD.pack(len(status) << 8 | frames.HEADERS, frames.END_HEADERS, stream_id) + status


def test_a_200_whose_end_does_not_come_in_time_is_a_200() -> None:
    bench = Bench()
    item = bench.send(response_timeout=10.0)
    late = bench.send(response_timeout=10.0)
    bench.receive(begun(1) + begun(3, b"\x8d"))
    for _ in range(3):
        bench.loop.advance(4.0)
        bench.receive(frames.ping(b"12345678"))
    ((told, result),) = bench.notes.told
    assert (told, result.status) == (item, 200)
    assert bench.notes.late == [late]


@pytest.mark.parametrize(
    "end",
    [
        frames.rst_stream(1, 2),
        frames.rst_stream(1, 7),
        frames.rst_stream(1, 0),
        frames.HEAD.pack(3 << 8 | frames.DATA, frames.END_STREAM, 1) + b'{"r',
        goaway(0),
    ],
    ids=["reset", "refused", "no error", "short body", "goaway below"],
)
def test_what_comes_after_a_200_does_not_unsay_it(end: bytes) -> None:
    bench = Bench()
    item = bench.send()
    bench.receive(begun(1) + end)
    bench.connection.connection_lost(None)
    ((told, result),) = bench.notes.told
    assert (told, result.status) == (item, 200)


async def test_an_answer_of_http_1_is_named() -> None:
    notes = Notes()
    loop = asyncio.get_running_loop()
    connection = Connection(notes, Engine(), loop, loop.time)
    connection.connection_made(Transport())
    connection.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(DialError) as caught:
        await connection.wait_ready()
    assert "HTTP/1" in caught.value.detail
    assert "certificate" not in caught.value.detail
