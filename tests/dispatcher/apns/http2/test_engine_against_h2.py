"""The engine against a server that nobody here wrote: the `h2` library is the oracle for what is legal.

A random sequence of actions on both sides, with the bytes between them cut at random. `h2` raises on anything
illegal that we send (a stream too many, DATA beyond a window, a bad frame, HPACK out of step), and the machine
keeps its own book of what the server did with each stream and compares every result with it.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, SettingsAcknowledged, StreamEnded, StreamReset
from h2.exceptions import StreamClosedError as H2StreamClosedError
from h2.settings import SettingCodes, Settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tubepost_dispatcher.apns.http2 import frames, hpackenc
from tubepost_dispatcher.apns.http2.engine import Engine
from tubepost_dispatcher.apns.http2.results import ConnectionState, StreamError, StreamResult

BLOCK = (
    hpackenc.request_prefix(b"localhost")
    + hpackenc.path_field(b"/3/device/00")
    + hpackenc.field(b"apns-topic", b"com.example.app")
)
APNS_ID = b"eabeae54-14a8-11e5-b60b-1697f925ec7b"
CHUNKS = st.one_of(st.integers(1, 40), st.integers(1, 70_000))


class EngineAgainstH2(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine()
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.to_server = bytearray()
        self.to_client = bytearray()
        self.keys = 0
        self.stream_of: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.cancelled: set[int] = set()
        self.results: dict[int, StreamResult] = {}
        # The server's book, by stream. With two SETTINGS on their way, h2 applies the second at the first
        # acknowledgement, so only one is sent at a time.
        self.settings_pending = False
        self.seen: set[int] = set()
        self.ended: set[int] = set()
        self.received: dict[int, bytearray] = {}
        self.unacknowledged: list[tuple[int, int]] = []
        self.begun: dict[int, int] = {}
        self.answered: dict[int, tuple[int, bytes]] = {}
        self.reset: dict[int, int] = {}
        self.gone: set[int] = set()
        self.last_stream: int | None = None

    # -- plumbing

    def collect(self, results: list[StreamResult]) -> None:
        for result in results:
            key = result.key
            assert isinstance(key, int)
            assert key not in self.results
            assert key not in self.cancelled
            self.results[key] = result

    def flush_server(self) -> None:
        self.to_client += self.server.data_to_send()

    def server_reads(self, count: int) -> None:
        data = bytes(self.to_server[:count])
        del self.to_server[:count]
        # h2 applies a larger MAX_FRAME_SIZE only to what comes in a call after the acknowledgement.
        before, ack, after = data.partition(frames.SETTINGS_ACK)
        for event in self.server.receive_data(before + ack) + self.server.receive_data(after):
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                self.seen.add(event.stream_id)
                self.received[event.stream_id] = bytearray()
            elif isinstance(event, DataReceived):
                assert event.stream_id is not None
                assert event.data is not None
                assert event.flow_controlled_length is not None
                self.received[event.stream_id] += event.data
                self.unacknowledged.append((event.stream_id, event.flow_controlled_length))
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                self.ended.add(event.stream_id)
            elif isinstance(event, SettingsAcknowledged):
                self.settings_pending = False
            elif isinstance(event, StreamReset):
                assert event.stream_id is not None
                self.gone.add(event.stream_id)
        self.flush_server()

    def servable(self) -> list[int]:
        last = self.last_stream if self.last_stream is not None else 2**31
        return [
            stream
            for stream in sorted(self.seen)
            if stream <= last
            and stream not in self.answered
            and stream not in self.reset
            and stream not in self.gone
        ]

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(3):
            self.to_server += self.engine.take()
            self.server_reads(len(self.to_server))
            self.client_reads(len(self.to_client))

    # -- the client's side

    @initialize(limit=st.sampled_from([1, 3, 100, 100]), settled=st.booleans())
    def start(self, limit: int, settled: bool) -> None:
        self.server.local_settings = Settings(
            client=False,
            initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: limit, SettingCodes.ENABLE_PUSH: 0},
        )
        self.server.initiate_connection()
        self.flush_server()
        self.settings_pending = True
        if settled:
            self.everything_arrives()

    @rule(
        count=st.integers(1, 12),
        size=st.sampled_from([0, 1, 200, 4096, 5120, 20_000, 70_000]),
        padding=st.sampled_from([0, 0, 0, 17_000]),
    )
    def submit(self, count: int, size: int, padding: int) -> None:
        for _ in range(min(count, self.engine.capacity())):
            self.keys += 1
            body = self.keys.to_bytes(2, "big") * (size // 2) + b"x" * (size % 2)
            block = BLOCK + (hpackenc.field(b"x-long", b"y" * padding) if padding else b"")
            self.stream_of[self.keys] = self.engine.submit(block, body, self.keys)
            self.bodies[self.stream_of[self.keys]] = body

    @rule()
    def take(self) -> None:
        self.to_server += self.engine.take()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        open_keys = [key for key in self.stream_of if key not in self.results and key not in self.cancelled]
        if open_keys:
            key = data.draw(st.sampled_from(open_keys))
            self.cancelled.add(key)
            self.engine.cancel(self.stream_of[key])

    @rule()
    def ping(self) -> None:
        self.engine.ping()

    @rule(size=CHUNKS)
    def client_reads(self, size: int) -> None:
        data = bytes(self.to_client[:size])
        del self.to_client[:size]
        self.collect(self.engine.receive(data))

    # -- the server's side

    @rule(size=CHUNKS)
    def server_gets(self, size: int) -> None:
        self.server_reads(size)

    @rule(
        data=st.data(),
        status=st.sampled_from([200, 200, 200, 400, 410, 429, 503]),
        body=st.sampled_from([None, b"", b'{"reason":"BadDeviceToken"}', b"z" * 16_384]),
        trailers=st.booleans(),
        informational=st.booleans(),
    )
    def answer(
        self,
        data: st.DataObject,
        status: int,
        body: bytes | None,
        trailers: bool,
        informational: bool,
    ) -> None:
        streams = [stream for stream in self.servable() if stream not in self.begun]
        if not streams:
            return
        stream = data.draw(st.sampled_from(streams))
        if informational:
            self.server.send_headers(stream, [(b":status", b"103"), (b"link", b"</a>")])
        fields = [(b":status", b"%d" % status), (b"apns-id", APNS_ID)]
        if body is None:
            self.server.send_headers(stream, fields, end_stream=True)
            self.answered[stream] = (status, b"")
        elif len(body) + 256 <= self.server.local_flow_control_window(stream):
            self.server.send_headers(stream, fields)
            half = len(body) // 2
            self.server.send_data(stream, body[:half], pad_length=half % 256)
            self.server.send_data(stream, body[half:], end_stream=not trailers)
            if trailers:
                self.server.send_headers(stream, [(b"x-checksum", b"1")], end_stream=True)
            self.answered[stream] = (status, body)
        self.flush_server()

    @rule(data=st.data())
    def begin_an_answer(self, data: st.DataObject) -> None:
        streams = [stream for stream in self.servable() if stream not in self.begun]
        if streams:
            stream = data.draw(st.sampled_from(streams))
            self.begun[stream] = 500
            self.server.send_headers(stream, [(b":status", b"500"), (b"apns-id", APNS_ID)])
            self.flush_server()

    @rule(data=st.data())
    def end_an_answer(self, data: st.DataObject) -> None:
        streams = [stream for stream in self.servable() if stream in self.begun]
        if streams:
            stream = data.draw(st.sampled_from(streams))
            self.server.send_data(stream, b"late", end_stream=True)
            self.answered[stream] = (500, b"late")
            self.flush_server()

    @rule(data=st.data(), code=st.sampled_from([ErrorCodes.REFUSED_STREAM, ErrorCodes.INTERNAL_ERROR]))
    def reset_a_stream(self, data: st.DataObject, code: ErrorCodes) -> None:
        streams = self.servable()
        if streams:
            stream = data.draw(st.sampled_from(streams))
            self.server.reset_stream(stream, code)
            self.reset[stream] = int(code)
            self.flush_server()

    @precondition(lambda self: not self.settings_pending)
    @rule(
        limit=st.sampled_from([None, 0, 1, 2, 50, 1000]),
        window=st.sampled_from([None, 0, 1, 100, 65_535, 1_000_000]),
        frame=st.sampled_from([None, 16_384, 100_000]),
        table=st.sampled_from([None, 0, 100, 4096, 65_536]),
    )
    def change_settings(
        self,
        limit: int | None,
        window: int | None,
        frame: int | None,
        table: int | None,
    ) -> None:
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: limit,
            SettingCodes.INITIAL_WINDOW_SIZE: window,
            SettingCodes.MAX_FRAME_SIZE: frame,
            SettingCodes.HEADER_TABLE_SIZE: table,
        }
        self.server.update_settings({code: value for code, value in values.items() if value is not None})
        self.settings_pending = True
        self.flush_server()

    @rule(increment=st.integers(1, 100_000))
    def open_the_connection_window(self, increment: int) -> None:
        self.server.increment_flow_control_window(increment)
        self.flush_server()

    @rule(data=st.data(), increment=st.integers(1, 50_000))
    def open_a_stream_window(self, data: st.DataObject, increment: int) -> None:
        streams = [stream for stream in self.servable() if stream not in self.ended]
        if streams:
            self.server.increment_flow_control_window(increment, data.draw(st.sampled_from(streams)))
            self.flush_server()

    @rule()
    def acknowledge_data(self) -> None:
        for stream, size in self.unacknowledged:
            try:
                self.server.acknowledge_received_data(size, stream)
            except H2StreamClosedError:
                continue
        self.unacknowledged.clear()
        self.flush_server()

    @rule(payload=st.binary(min_size=8, max_size=8))
    def server_pings(self, payload: bytes) -> None:
        self.server.ping(payload)
        self.flush_server()

    @rule(kind=st.sampled_from([2, 10, 12, 16, 200]), stream=st.sampled_from([0, 1, 2]))
    def server_sends_what_is_ignored(self, kind: int, stream: int) -> None:
        self.to_client += frames.HEAD.pack(5 << 8 | kind, 0xFF, stream) + b"\0\0\0\0\0"

    @precondition(lambda self: self.last_stream is None or self.last_stream > 0)
    @rule(data=st.data(), code=st.sampled_from([0, 2, 11]), gap=st.integers(0, 3))
    def go_away(self, data: st.DataObject, code: int, gap: int) -> None:
        # What the server has already dealt with is not above its last stream id.
        dealt = max((*self.begun, *self.answered, *self.reset, 0))
        highest = max((*self.seen, 0)) if self.last_stream is not None else 2**31 - 1
        choices = [dealt, max(dealt, *(self.seen or {0})), max(highest, dealt)]
        last = max(dealt, data.draw(st.sampled_from(choices)) - 2 * gap)
        if self.last_stream is not None:
            last = min(last, self.last_stream)
        self.last_stream = last
        self.to_client += frames.HEAD.pack((8 + 2) << 8 | frames.GOAWAY, 0, 0)
        self.to_client += frames.PAIR.pack(last, code) + b"{}"

    # -- what must hold

    @invariant()
    def counts_hold(self) -> None:
        engine = self.engine
        assert engine.failure == ""
        assert engine.state is not ConnectionState.CLOSED
        capacity = engine.capacity()
        assert 0 <= capacity <= max(0, engine.stream_limit - engine.open_streams)
        assert engine.open_streams == len(self.stream_of) - len(self.results) - len(self.cancelled)

    def teardown(self) -> None:
        """Let everything that is on its way arrive, open all windows, answer everything, then compare."""
        self.everything_arrives()
        self.server.update_settings(
            {SettingCodes.INITIAL_WINDOW_SIZE: 2**30, SettingCodes.MAX_CONCURRENT_STREAMS: 1000},
        )
        self.server.increment_flow_control_window(2**30)
        self.flush_server()
        self.everything_arrives()
        for stream in self.servable():
            assert stream in self.ended, "an upload is stuck with all windows open"
            if stream not in self.begun:
                self.server.send_headers(stream, [(b":status", b"200"), (b"apns-id", APNS_ID)])
            self.server.send_data(stream, b"", end_stream=True)
            self.answered[stream] = (self.begun.get(stream, 200), b"")
        self.flush_server()
        self.client_reads(len(self.to_client))
        self.counts_hold()
        if self.engine.open_streams == 0 and self.engine.state is ConnectionState.OPEN:
            assert self.engine.capacity() > 0
        self.to_server += self.engine.take()
        self.server_reads(len(self.to_server))
        self.collect(self.engine.eof())
        self.compare()

    def compare(self) -> None:
        assert set(self.results) | self.cancelled == set(self.stream_of)
        for key, result in self.results.items():
            stream = self.stream_of[key]
            if result.error is StreamError.NONE:
                assert (result.status, result.body) == self.answered[stream]
                assert result.apns_id == APNS_ID
            elif result.error is StreamError.UNPROCESSED:
                assert stream not in self.answered
                assert stream not in self.seen or (self.last_stream is not None and stream > self.last_stream)
            else:
                assert result.error in {StreamError.REFUSED, StreamError.RESET}
                assert result.error_code == self.reset[stream]
                refused = self.reset[stream] == ErrorCodes.REFUSED_STREAM and stream not in self.begun
                assert (result.error is StreamError.REFUSED) == refused
            if not result.fully_sent:
                # An answer may overtake the end of its request: that goes out although it is there already.
                assert stream not in self.ended or result.error is StreamError.NONE
            elif stream not in self.reset and stream not in self.gone:
                assert stream in self.ended
                assert bytes(self.received[stream]) == self.bodies[stream]


EngineAgainstH2.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestEngineAgainstH2 = EngineAgainstH2.TestCase
