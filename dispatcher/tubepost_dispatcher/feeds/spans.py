"""Spans of sessions, messages and attempts, as OTLP has them in JSON. Pure.

A message is a trace. Its ids are made of the message id, so that attempts after a restart, by another worker
or another pod, belong to the same trace without anything being stored. An SMTP session, which may have
thousands of messages, is a trace of its own, and its messages link to it.

Source: OpenTelemetry protocol (OTLP) 1.x, JSON protobuf encoding: ids in hex, 64-bit integers as texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
"""Kinds of spans."""
_ERROR: Final = 2
_NANOSECONDS: Final = 1_000_000_000

Span = dict[str, Any]
Value = str | int | float | bool


def trace_id(name: str) -> str:
    """The trace of a message, by its id, or of a session: 32 hex digits."""
    return sha256(name.encode()).hexdigest()[:32]


def span_id(*names: str) -> str:
    """A span within a trace, by what tells it from others: 16 hex digits."""
    return sha256("/".join(("span", *names)).encode()).hexdigest()[:16]


def session_ids(session: str) -> tuple[str, str]:
    """Trace and span of an SMTP session, by its id."""
    return trace_id(f"session/{session}"), span_id("session", session)


def sampled(message_id: str, percent: int) -> bool:
    """Whether a message has a trace: the same answer wherever it is asked."""
    return percent >= 100 or int(trace_id(message_id)[-8:], 16) % 10_000 < percent * 100


def span(
    trace: str,
    own: str,
    name: str,
    kind: int,
    start: float,
    end: float,
    attributes: Mapping[str, Value],
    *,
    parent: str = "",
    link: tuple[str, str] | None = None,
    error: str = "",
) -> Span:
    """One span.

    Args:
        trace: see `trace_id`.
        own: see `span_id`.
        name: low in number, such as `apns attempt`.
        kind: SERVER, CLIENT or INTERNAL.
        start: unix seconds.
        end: unix seconds.
        attributes: what is empty is left out.
        parent: the span above it.
        link: trace and span that it has to do with.
        error: why it failed; empty: it did not.
    """
    made: Span = {
        "traceId": trace,
        "spanId": own,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(int(start * _NANOSECONDS)),
        "endTimeUnixNano": str(int(max(start, end) * _NANOSECONDS)),
        "attributes": [_attribute(key, value) for key, value in attributes.items() if value != ""],
    }
    if parent:
        made["parentSpanId"] = parent
    if link is not None:
        made["links"] = [{"traceId": link[0], "spanId": link[1]}]
    if error:
        made["status"] = {"code": _ERROR, "message": error}
    return made


def request(spans: list[Span], resource: Mapping[str, Value]) -> dict[str, Any]:
    """The body of a request to `/v1/traces`."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [_attribute(key, value) for key, value in resource.items()]},
                "scopeSpans": [{"scope": {"name": "tubepost"}, "spans": spans}],
            }
        ]
    }


def _attribute(key: str, value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    return {"key": key, "value": {"stringValue": value}}
