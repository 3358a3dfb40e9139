"""The request half of a client's connection: requests, verdicts, answers; `transport` is the other half."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import Any

from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from tubepost_simulator import wire
from tubepost_simulator.chaos import DropMoment, GoAway, LastStreamId, Stall
from tubepost_simulator.context import Context
from tubepost_simulator.exchange import ConnectionAuth, Reply, Request
from tubepost_simulator.journal import Notification
from tubepost_simulator.magic import Behaviour, BehaviourKind
from tubepost_simulator.reasons import Reason
from tubepost_simulator.stream_limit import MAX_STREAMS
from tubepost_simulator.transport import H2Transport, Stream

_MAX_BODY = 16_384
"""More than this is not waited for: 413 and the stream is closed."""
_KEEP_BODY = 5_121
_WINDOW_STEP = 16_384
_MAX_TEXT = 512

_STALL = Behaviour(BehaviourKind.STALL)
_GOAWAY_LOWER = GoAway(last_stream_id=LastStreamId.LOWER)
_GOAWAY_ZERO = GoAway(last_stream_id=LastStreamId.ZERO)
_ONCE = frozenset(
    {
        BehaviourKind.GOAWAY,
        BehaviourKind.GOAWAY_LOWER,
        BehaviourKind.GOAWAY_ZERO,
        BehaviourKind.DROP_BEFORE,
        BehaviourKind.DROP_AFTER,
    }
)
_COUNTED = frozenset({BehaviourKind.REFUSE, BehaviourKind.FLAKY})


class ClientConnection(H2Transport):
    """The protocol of one accepted TLS connection.

    A request is judged and recorded when it is complete; the answer may follow later or never.
    """

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(context, loop)
        self._journal = context.journal
        self._policy = context.policy
        self._sandbox = context.policy.environment == "Sandbox"
        self._proof = ConnectionAuth()
        self._judged = 0
        self._ignored = 0
        self._unacknowledged_bytes = 0
        self._blocked: dict[int, tuple[Reply, Notification]] = {}

    # ---- what the simulator calls

    def as_dict(self) -> dict[str, Any]:
        """The connection as the API shows it."""
        return {
            "number": self.number,
            "peer": self.peer,
            "openedAt": self.opened_at,
            "state": "silent" if self._silent and self.state == "open" else self.state,
            "auth": "certificate" if self.certificate else "token" if self._proof.token else "",
            "identity": self.certificate.subject if self.certificate else self._token_identity(),
            "requests": self.requests,
            "openStreams": len(self._streams),
            "streamLimit": self._limit.announced,
            "streamLimitAcknowledged": self._limit.acknowledged,
        }

    # ---- events

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._on_data(event)
        elif isinstance(event, RequestReceived):
            self._on_request(event)
        elif isinstance(event, StreamEnded):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.complete = True
                if not stream.processed:
                    self._judge(stream)
        elif isinstance(event, StreamReset):
            if event.stream_id in self._streams:
                self._counts.client_resets += 1
                self._forget(event.stream_id)
        elif isinstance(event, SettingsAcknowledged):
            self._limit.acknowledge()
        elif isinstance(event, RemoteSettingsChanged | WindowUpdated):
            self._retry_blocked()
        elif isinstance(event, PingAckReceived):
            if self._graceful is not None:
                self._finish_graceful()
        elif isinstance(event, ConnectionTerminated):
            # h2 sends nothing after a GOAWAY in either direction.
            self._close(flush=True)

    def _on_request(self, event: RequestReceived) -> None:
        number = event.stream_id
        self._closed_streams += 1
        if number > self._last_allowed:
            self._counts.after_goaway += 1
            self._ignored += 1
            if self._ignored > MAX_STREAMS:
                self._close()
            return
        self._highest = max(self._highest, number)
        self.requests += 1
        self._last_request = self._loop.time()
        chaos = self._board.chaos
        if chaos.streams_after is not None and self.requests == chaos.streams_after.requests:
            self._limit.override = chaos.streams_after.limit
        if self._limit.forbids(len(self._streams)):
            self._counts.limit_violations += 1
            self._reset(number, ErrorCodes.REFUSED_STREAM)
            return
        if self._board.refuses():
            self._counts.refused += 1
            self._reset(number, ErrorCodes.REFUSED_STREAM)
            return
        try:
            method, path, fields = wire.read_fields(event.headers)
        except wire.MalformedRequestError:
            self._counts.protocol_errors += 1
            self._reset(number, ErrorCodes.PROTOCOL_ERROR)
            return
        self._streams[number] = Stream(number, method, path, fields)
        self._counts.streams_peak = max(self._counts.streams_peak, len(self._streams))

    def _on_data(self, event: DataReceived) -> None:
        # The stream's own window is never opened: no request needs more than the initial one.
        self._unacknowledged_bytes += event.flow_controlled_length or 0
        if self._unacknowledged_bytes >= _WINDOW_STEP:
            with contextlib.suppress(ProtocolError):  # the client has said GOAWAY meanwhile
                self._h2.increment_flow_control_window(self._unacknowledged_bytes)
            self._unacknowledged_bytes = 0
        stream = self._streams.get(event.stream_id)
        data = event.data
        if stream is None or stream.processed or not data:
            return
        if stream.size < _KEEP_BODY:
            stream.body = stream.body + data if stream.body else data
        stream.size += len(data)
        if stream.size > _MAX_BODY:
            self._judge(stream)

    # ---- judging

    def _judge(self, stream: Stream) -> None:
        chaos = self._board.chaos
        self._judged += 1
        say_goaway = chaos.goaway_after_requests > 0 and self._judged == chaos.goaway_after_requests
        cut = chaos.drop_after_requests > 0 and self._judged == chaos.drop_after_requests
        lower = chaos.goaway.last_stream_id is LastStreamId.LOWER and stream.number > self._highest_judged
        if say_goaway and lower and self.state == "open":
            self.goaway(chaos.goaway)
            return
        if cut and chaos.drop_moment is DropMoment.BEFORE:
            self.drop()
            return
        request = Request(stream.method, stream.path, stream.fields, stream.body[:_KEEP_BODY], stream.size)
        reply = self._policy.validate(request, self.certificate, self._proof, time.time())
        self._proof = reply.state
        behaviour = self._behaviour(reply)
        if behaviour is not None and self._acts_before(behaviour, stream):
            return
        stream.processed = True
        self._highest_judged = max(self._highest_judged, stream.number)
        record = self._record(stream, request, reply, behaviour)
        if cut:
            self.drop()
            return
        if behaviour is None or not self._acts_instead(behaviour, stream):
            delay = self._board.delay()
            if behaviour is not None and behaviour.kind is BehaviourKind.SLOW:
                delay += behaviour.value / 1000
            if delay:
                stream.timer = self._later(delay, self._answer_late, stream.number, reply, record)
            else:
                self._answer(stream.number, reply, record)
        if say_goaway:
            self.goaway(chaos.goaway)
        elif behaviour is not None and behaviour.kind is BehaviourKind.GOAWAY:
            self.goaway(GoAway())

    def _behaviour(self, reply: Reply) -> Behaviour | None:
        """Return what to do besides answering; fails an accepted request where a switch demands it."""
        if reply.reason is not None:
            return self._switched_stall()
        behaviour = reply.behaviour
        if behaviour is None:
            failure = self._board.failure(reply.token)
            if failure is not None:
                reply.timestamp = int(time.time() * 1000) if failure.status == 410 else 0
                reply.refuse(failure, "switch")
            return self._switched_stall()
        kind, value = behaviour
        if kind in _ONCE:
            return behaviour if self._board.attempt(reply.apns_id) == 1 else self._switched_stall()
        if kind in _COUNTED:
            if value and self._board.attempt(reply.apns_id) > value:
                return self._switched_stall()
            if kind is BehaviourKind.FLAKY:
                reply.refuse(Reason.SERVICE_UNAVAILABLE, "magic device token")
        return behaviour

    def _switched_stall(self) -> Behaviour | None:
        return _STALL if self._board.chaos.stall is Stall.REQUESTS else None

    def _acts_before(self, behaviour: Behaviour, stream: Stream) -> bool:
        """Carry out a behaviour that keeps the request from being processed; False if it is not one."""
        kind = behaviour.kind
        if kind is BehaviourKind.REFUSE:
            self._counts.refused += 1
            self._give_up(stream.number, ErrorCodes.REFUSED_STREAM)
        elif kind is BehaviourKind.DROP_BEFORE:
            self.drop()
        elif kind is BehaviourKind.GOAWAY_LOWER and self.state == "open" and not self._silent:
            if stream.number < self._highest_judged:
                return False
            self.goaway(_GOAWAY_LOWER)
        else:
            return False
        return True

    def _acts_instead(self, behaviour: Behaviour, stream: Stream) -> bool:
        """Carry out a behaviour that replaces the answer; False if it is not one."""
        kind = behaviour.kind
        if kind is BehaviourKind.STALL:
            self._counts.stalled += 1
        elif kind is BehaviourKind.SILENCE:
            self._counts.stalled += 1
            self.silence(for_good=True)
        elif kind is BehaviourKind.RESET:
            self._counts.resets += 1
            self._give_up(stream.number, ErrorCodes.INTERNAL_ERROR)
        elif kind is BehaviourKind.DROP_AFTER:
            self.drop()
        elif kind is BehaviourKind.GOAWAY_ZERO:
            self.goaway(_GOAWAY_ZERO)
        else:
            return False
        return True

    def _record(
        self, stream: Stream, request: Request, reply: Reply, behaviour: Behaviour | None
    ) -> Notification:
        reason = reply.reason
        record = Notification(
            number=0,
            received_at=time.time(),
            apns_id=reply.apns_id,
            token=reply.token[:_MAX_TEXT],
            topic=reply.topic,
            push_type=reply.push_type,
            priority=reply.priority,
            expiration=reply.expiration,
            collapse_id=reply.collapse_id,
            payload=bytes(request.body),
            auth=reply.auth,
            identity=reply.identity,
            connection=self.number,
            stream=stream.number,
            status=reply.status,
            reason="" if reason is None else reason.value,
            detail=reply.detail[:_MAX_TEXT],
            behaviour="" if behaviour is None else behaviour.kind.value,
            channel_id=reply.channel_id[:_MAX_TEXT],
        )
        if reply.operation is None:
            self._journal.add(record)
        elif reason is None:
            self._policy.channels.carry_out(reply)
        return record

    # ---- answering

    def _answer_late(self, number: int, reply: Reply, record: Notification) -> None:
        self._answer(number, reply, record)
        self._flush_soon()

    def _answer(self, number: int, reply: Reply, record: Notification) -> None:
        if number not in self._streams:  # the client gave it up, or it is beyond a GOAWAY
            return
        if self._silent:
            self._blocked[number] = (reply, record)
            return
        try:
            if not self._send_answer(number, reply):
                self._blocked[number] = (reply, record)
                return
        except ProtocolError:  # reset or GOAWAY from the client, whose event is yet to come
            self._forget(number)
            return
        self._limit.proven = reply.reason is None
        self._journal.answered(record)
        self._finish(number)

    def _send_answer(self, number: int, reply: Reply) -> bool:
        """Hand the answer to `h2`; False while the client's flow-control window is too small for it."""
        named = (reply.id_field.encode(), reply.apns_id.encode())
        reason = reply.reason
        if reason is None:
            if reply.operation is not None:
                return self._send_managed(number, reply, named)
            headers = [(b":status", b"200"), named]
            if self._sandbox:
                headers.append((b"apns-unique-id", str(uuid.uuid4()).encode()))
            self._h2.send_headers(number, headers, end_stream=True)
            return True
        body = wire.error_body(reason, reply.timestamp)
        if self._h2.local_flow_control_window(number) < len(body):
            return False
        self._h2.send_headers(number, [(b":status", b"%d" % reason.status), named])
        self._h2.send_data(number, body, end_stream=True)
        return True

    def _send_managed(self, number: int, reply: Reply, named: tuple[bytes, bytes]) -> bool:
        """The same for what was asked about channels."""
        if not reply.begun:
            reply.begun = True
            headers = [(b":status", b"%d" % reply.status), named]
            if reply.operation == "create":
                headers.append((b"apns-channel-id", reply.channel_id.encode()))
            self._h2.send_headers(number, headers, end_stream=not reply.body)
        while reply.body:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0:
                return False
            piece, reply.body = reply.body[:room], reply.body[room:]
            self._h2.send_data(number, piece, end_stream=not reply.body)
        return True

    def _finish(self, number: int) -> None:
        if not self._streams[number].complete:  # answered before its end: RFC 9113 section 8.1
            self._reset(number, ErrorCodes.NO_ERROR)
        self._forget(number)
        self._close_when_idle()

    def _forget(self, number: int) -> None:
        self._blocked.pop(number, None)
        super()._forget(number)

    def _retry_blocked(self) -> None:
        if self._blocked:
            blocked, self._blocked = self._blocked, {}
            for number, (reply, record) in blocked.items():
                self._answer(number, reply, record)

    def _token_identity(self) -> str:
        token = self._proof.token
        return f"{token.team_id}/{token.key_id}" if token else ""
