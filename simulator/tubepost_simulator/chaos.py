"""The switches: how the simulator misbehaves. Set at the start, changed at run time, checked in one place."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tubepost_simulator.reasons import Reason

_Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
_Limit = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Millis = Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)]
_Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Token = Annotated[str, Field(pattern=r"^[0-9a-f]{1,400}$")]


class _Switches(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class AdaptiveStreams(enum.StrEnum):
    """On which connections the stream limit follows the last answer, as APNs' does."""

    OFF = "Off"
    TOKEN = "Token"  # noqa: S105 - a kind of authentication, no password
    ALL = "All"


class Stall(enum.StrEnum):
    """What is left without an answer."""

    OFF = "Off"
    REQUESTS = "Requests"
    CONNECTION = "Connection"


class LastStreamId(enum.StrEnum):
    """Which last stream id a GOAWAY names."""

    EXACT = "Exact"
    LOWER = "Lower"
    ZERO = "Zero"
    GRACEFUL = "Graceful"


class DropMoment(enum.StrEnum):
    """Whether the request that triggers a drop is processed before the connection is cut."""

    BEFORE = "Before"
    AFTER = "After"


class ConnectionAction(enum.StrEnum):
    """What is done once, at the time of the call, to all open connections."""

    GOAWAY = "GoAway"
    DROP = "Drop"


class StreamsAfter(_Switches):
    """A change of the stream limit in mid-connection."""

    requests: Annotated[int, Field(ge=1, le=1_000_000_000)]
    """After so many requests on a connection."""
    limit: _Limit
    """The limit from then on."""


class GoAway(_Switches):
    """How the simulator says GOAWAY."""

    last_stream_id: LastStreamId = LastStreamId.EXACT
    """`Exact`: the highest stream opened; open ones are answered. `Lower`: the highest processed one; what
    was opened above it is forgotten. `Zero`: 0, and no open stream is answered any more, though it may have
    been processed. `Graceful`: first 2^31-1, then, a round trip later, the exact one."""
    reason: Annotated[str, Field(max_length=200)] = Reason.SHUTDOWN.value
    """Goes into the debug data as `{"reason": ...}`; empty: no debug data."""
    error_code: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] = 0
    """HTTP/2 error code (RFC 9113 section 7)."""


class Chaos(_Switches):
    """All switches. Counts are per connection unless they say otherwise; 0 switches off."""

    max_concurrent_streams: _Limit = 1000
    """SETTINGS_MAX_CONCURRENT_STREAMS; a change is announced on all connections."""
    adaptive_streams: AdaptiveStreams = AdaptiveStreams.TOKEN
    """Stream limit 1 until a push was accepted, 1 again after a rejection, back up after an accepted push.
    `Off`: never. `Token`: on connections without client certificate. `All`: also on those with one, though
    not before the first rejection."""
    streams_after: StreamsAfter | None = None
    """Another stream limit after a number of requests."""
    goaway_after_requests: _Count = 0
    """GOAWAY when that many requests have come."""
    goaway: GoAway = GoAway()
    """How GOAWAY is said, here and by the action `GoAway`."""
    refuse_every: _Count = 0
    """Every n-th request of the simulator gets REFUSED_STREAM."""
    refuse_next: _Count = 0
    """So many next requests of the simulator get REFUSED_STREAM; counts down."""
    stall: Stall = Stall.OFF
    """`Requests`: recorded, never answered. `Connection`: nothing is read or written any more."""
    latency_ms: _Millis = 0.0
    """Milliseconds between request and answer."""
    jitter_ms: _Millis = 0.0
    """Up to so many milliseconds more, evenly spread."""
    errors: dict[Reason, _Rate] = {}
    """Share of otherwise accepted requests that is answered with a reason; the sum is at most 1."""
    fail_next: dict[Reason, _Count] = {}
    """So many next otherwise accepted requests of the simulator are answered with a reason; counts down."""
    devices: Annotated[dict[_Token, Reason], Field(max_length=1000)] = {}
    """Reasons for single devices: what is otherwise accepted for a device token (lower-case hex, the whole of
    it) is answered with its reason. At most 1,000."""
    drop_after_requests: _Count = 0
    """The connection is cut at that request."""
    drop_moment: DropMoment = DropMoment.AFTER
    """Whether that request is processed first (then its answer is lost)."""
    settings_delay_ms: _Millis = 0.0
    """Milliseconds from the TLS handshake to the first SETTINGS; nothing is read before."""


class ChaosError(ValueError):
    """Switches that cannot be set. `field` is the JSON path of the first fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


def patch(current: Chaos, changes: Mapping[str, Any]) -> tuple[Chaos, ConnectionAction | None]:
    """Apply `changes` (JSON names) to `current`: a JSON merge patch (RFC 7396) of two levels.

    `errors`, `failNext`, `devices` and `streamsAfter` are replaced as a whole, `goaway` is merged, null
    brings a switch's default back. The name `now` holds a `ConnectionAction` for the caller and is no switch.

    Raises:
        ChaosError: an unknown name or a value out of range; nothing is changed then.
    """
    document = current.model_dump(mode="json", by_alias=True)
    action: ConnectionAction | None = None
    for name, value in changes.items():
        if name == "now":
            action = _action(value)
        elif value is None:
            if name not in document:
                raise ChaosError(name, "there is no such switch")
            del document[name]
        elif name == "goaway" and isinstance(value, Mapping):
            document[name] = {**document[name], **value}
        else:
            document[name] = value
    return parse(document), action


def parse(document: Mapping[str, Any]) -> Chaos:
    """Read a whole document of switches.

    Raises:
        ChaosError: an unknown name or a value out of range.
    """
    try:
        # As JSON, since strict reading takes names of enumerations from JSON only.
        chaos = Chaos.model_validate_json(json.dumps(dict(document)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise ChaosError(path, first["msg"]) from None
    if sum(chaos.errors.values()) > 1:
        raise ChaosError("errors", "the shares add up to more than 1")
    return chaos


def _action(value: Any) -> ConnectionAction:
    try:
        return ConnectionAction(value)
    except ValueError:
        raise ChaosError("now", f"one of {', '.join(ConnectionAction)}") from None
