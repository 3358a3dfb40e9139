"""JSON log lines: one object a line, with field names that stay as they are.

`FIELDS` is the reference. A device token appears as its first digits only (`tokenPrefix`), with one
exception: when APNs calls a token dead (410), `deadToken` holds it in full beside the time since when, so
that a log reader can take it off the recipient list. That is the dead-token feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tubepost_dispatcher.context import OURS
from tubepost_dispatcher.feeds.events import TOKEN_CONTEXT, LogEvent
from tubepost_dispatcher.text import hide_tokens, short_token
from tubepost_runtime.json_line import encode

_HTTP_GONE = 410


@dataclass(frozen=True, slots=True)
class JsonField:
    """One field. `present`: when it is there; `macro`: the macro that shows the same, empty for none."""

    name: str
    type: Literal["string", "integer", "number", "object"]
    present: str
    macro: str
    help: str


_ALWAYS = "every event"
_FAILED = "failures"
_GONE = "dead tokens"
_SENT = "what was sent to APNs"

FIELDS: tuple[JsonField, ...] = (
    JsonField("time", "string", "every line", "%t", "UTC, RFC 3339 with milliseconds."),
    JsonField(
        "event", "string", "every line", "", "`delivery`, `permfail`, `tempfail`; `heartbeat` in between."
    ),
    JsonField("pushDomain", "string", "every line", "%g", "Name of the PushDomain."),
    JsonField("messageId", "string", _ALWAYS, "%i", "The message id that the SMTP reply names."),
    JsonField("apnsId", "string", _ALWAYS, "%ti", "The notification's apns-id."),
    JsonField("domain", "string", _ALWAYS, "%d", "Domain of the recipient."),
    JsonField("route", "string", _ALWAYS, "%b", "Name of the ApnRoute."),
    JsonField(
        "source",
        "string",
        _ALWAYS,
        "%rp",
        "Where bounces go: Return-Path, else DLV_Source_Addr, else MAIL FROM.",
    ),
    JsonField(
        "destination",
        "string",
        _ALWAYS,
        "%da",
        "Local part of the recipient; shortened when it is the device token.",
    ),
    JsonField(
        "tokenPrefix", "string", _ALWAYS, "", "First digits of the device token: eight, at most half of it."
    ),
    JsonField("topic", "string", _ALWAYS, "", "The apns-topic."),
    JsonField("pushType", "string", _ALWAYS, "", "The apns-push-type."),
    JsonField("messageBytes", "integer", _ALWAYS, "%mb", "Size of the mail as received."),
    JsonField("remoteIp", "string", _ALWAYS, "%ca", "IP address of the client."),
    JsonField("attempt", "integer", _ALWAYS, "", "1 for the first attempt."),
    JsonField("durationMs", "number", _ALWAYS, "", "Milliseconds from the end of DATA to the outcome."),
    JsonField("status", "integer", _ALWAYS, "%S", "Legacy APNs status code, 0 when delivered."),
    JsonField("httpStatus", "integer", _FAILED, "", "APNs' HTTP status, 0 where there was none."),
    JsonField("reason", "string", _FAILED, "", "APNs' own word, or ours where APNs gave none."),
    JsonField("error", "string", _FAILED, "%e", "Reason and explanation."),
    JsonField("deadToken", "string", _GONE, "%dt", "The device token in full."),
    JsonField(
        "deadTokenTimestamp",
        "integer",
        _GONE,
        "",
        "Since when it is dead: APNs' timestamp, milliseconds since the epoch; absent where APNs gave none.",
    ),
    JsonField(
        "channelId", "string", "broadcasts", "%dt", "The channel (`apns-channel-id`); there is no token."
    ),
    JsonField("peerIp", "string", _SENT, "%pa", "IP address of the APNs server, or of the proxy."),
    JsonField("sentBytes", "integer", _SENT, "%ob", "Bytes sent to APNs: header block and payload."),
    JsonField(
        "apnsUniqueId",
        "string",
        "the development environment",
        "%ui",
        "APNs' `apns-unique-id`, by which Apple's Push Notifications Console finds the notification.",
    ),
    JsonField("user", "string", "authenticated senders", "", "Name that the SMTP client authenticated as."),
    JsonField(
        "context",
        "object",
        "messages with context variables",
        "%vctx_mess{NAME}",
        f"The sender's context variables, name to text, without `{TOKEN_CONTEXT}`.",
    ),
)


def json_line(event: LogEvent) -> bytes:
    """One event as a JSON object in UTF-8, without line end."""
    token = event.device_token
    record: dict[str, Any] = {
        "time": timestamp(event.time),
        "event": event.kind,
        "pushDomain": event.push_domain,
        "messageId": event.message_id,
        "apnsId": event.apns_id,
        "domain": event.domain,
        "route": event.route,
        "source": hide_tokens(event.source_address, token),
        "destination": hide_tokens(event.destination_address, token),
        "tokenPrefix": short_token(token),
        "topic": hide_tokens(event.topic, token),
        "pushType": event.push_type,
        "messageBytes": event.message_bytes,
        "remoteIp": event.client_address,
        "attempt": event.attempt,
        "durationMs": round(event.duration_ms, 3),
        "status": event.status,
    }
    if event.kind != "delivery":
        record["httpStatus"] = event.http_status
        record["reason"] = event.reason
        record["error"] = hide_tokens(event.error, token)
        if is_dead(event):
            record["deadToken"] = token
            if event.dead_token_timestamp:
                record["deadTokenTimestamp"] = event.dead_token_timestamp
    if event.channel_id:
        record["channelId"] = event.channel_id
    if event.sent_bytes:
        record["peerIp"] = event.peer
        record["sentBytes"] = event.sent_bytes
    if event.unique_id:
        record["apnsUniqueId"] = event.unique_id
    if event.user:
        record["user"] = hide_tokens(event.user, token)
    if event.context:
        context = _context(event.context, token)
        if context:
            record["context"] = context
    return encode(record)


def is_dead(event: LogEvent) -> bool:
    """Whether APNs calls the device token dead: Unregistered or ExpiredToken, status 410."""
    return event.http_status == _HTTP_GONE and bool(event.device_token)


def json_heartbeat(time: float, push_domain: str) -> bytes:
    """The heartbeat as a JSON object, without line end; `time` in unix seconds."""
    return encode({"time": timestamp(time), "event": "heartbeat", "pushDomain": push_domain})


def _context(context: Mapping[str, str], token: str) -> dict[str, str]:
    return {
        name: hide_tokens(value, token)
        for name, value in context.items()
        if name != TOKEN_CONTEXT and name not in OURS
    }


def timestamp(time: float) -> str:
    """Unix seconds as a time of RFC 3339, UTC, with milliseconds."""
    seconds, milliseconds = divmod(int(time * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


class _LastSecond:
    """The text of the second that was asked for last: events come in order and many a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, second: int) -> str:
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return self._text


_second = _LastSecond()
