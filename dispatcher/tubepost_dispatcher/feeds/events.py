"""What a logger is told about one attempt at a notification: the values behind macros and JSON fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from tubepost_dispatcher.context import variables
from tubepost_dispatcher.notification import NO_CONTEXT

EventKind = Literal["delivery", "permfail", "tempfail"]
"""Delivered, failed for good, failed for now: Momentum's `log_delivery`, `log_permfail`, `log_tempfail`."""

EVENT_KINDS: tuple[EventKind, ...] = ("delivery", "permfail", "tempfail")

TOKEN_CONTEXT: Final = "DLV_Dest_ID"  # noqa: S105 - a variable's name; its value is a device token
"""The context variable that holds the device token (Momentum)."""


class LogEvent:
    """One line to be: the outcome of one attempt.

    Values may hold any text: formatters escape. Macros of Momentum's apn_logger stand in brackets.
    """

    __slots__ = (
        "apns_id",
        "attempt",
        "channel_id",
        "client_address",
        "context",
        "dead_token_timestamp",
        "destination_address",
        "device_token",
        "domain",
        "duration_ms",
        "error",
        "http_status",
        "kind",
        "message_bytes",
        "message_id",
        "ordinal",
        "origin",
        "peer",
        "push_domain",
        "push_type",
        "reason",
        "route",
        "sent_bytes",
        "source_address",
        "status",
        "time",
        "topic",
        "unique_id",
        "user",
    )

    def __init__(
        self,
        kind: EventKind,
        time: float,
        *,
        message_id: str = "",
        source_address: str = "",
        destination_address: str = "",
        domain: str = "",
        device_token: str = "",
        apns_id: str = "",
        message_bytes: int = 0,
        route: str = "",
        push_domain: str = "",
        client_address: str = "",
        status: int = 0,
        error: str = "",
        context: Mapping[str, str] = NO_CONTEXT,
        reason: str = "",
        http_status: int = 0,
        attempt: int = 1,
        duration_ms: float = 0.0,
        topic: str = "",
        push_type: str = "",
        dead_token_timestamp: int = 0,
        user: str = "",
        channel_id: str = "",
        origin: str = "",
        peer: str = "",
        sent_bytes: int = 0,
        unique_id: str = "",
        ordinal: int = 0,
    ) -> None:
        self.kind: EventKind = kind
        self.time = time
        """Unix seconds [%t]."""
        self.message_id = message_id
        """Ours [%i]."""
        self.source_address = source_address
        """Where bounces go: the part's Return-Path, `DLV_Source_Addr` or MAIL FROM [%sa, %rp]."""
        self.destination_address = destination_address
        """`DLV_Dest_Addr` or the recipient's local part [%da]."""
        self.domain = domain
        """Recipient domain [%d]."""
        self.device_token = device_token
        """Lower-case hex digits, in full [%dt]; the formatters shorten it elsewhere. Empty: a broadcast."""
        self.apns_id = apns_id
        """[%ti]"""
        self.message_bytes = message_bytes
        """Size of the mail as received [%B, %mb]."""
        self.route = route
        """ApnRoute name, Momentum's binding [%b]."""
        self.push_domain = push_domain
        """PushDomain name, Momentum's binding group [%g]; empty: the loggers fill in their own."""
        self.client_address = client_address
        """IP address of the client [%H, %ca]."""
        self.status = status
        """Legacy APNs status code, 0 delivered [%S]."""
        self.error = error
        """Reason and explanation, empty when delivered [%e]."""
        self.context = context
        """Context variables [%vctx_mess{name}]."""
        self.reason = reason
        """APNs' word or ours (see `Outcome.reason`)."""
        self.http_status = http_status
        """0 where APNs gave none."""
        self.attempt = attempt
        """1 for the first."""
        self.duration_ms = duration_ms
        """Milliseconds from the end of DATA to the outcome."""
        self.topic = topic
        self.push_type = push_type
        self.dead_token_timestamp = dead_token_timestamp
        """APNs' timestamp of a 410, milliseconds since the epoch; 0 otherwise."""
        self.user = user
        """Authenticated SMTP user, empty without."""
        self.channel_id = channel_id
        """The channel of a broadcast, base64 [%dt]; empty for what goes to a device."""
        self.origin = origin
        """`DLV_Source_Addr` or MAIL FROM [Momentum's %sa]."""
        self.peer = peer
        """IP address of the APNs server (or proxy), empty where nothing was sent [%pa, Momentum's %H]."""
        self.sent_bytes = sent_bytes
        """Header block and payload as sent to APNs, 0 where nothing was sent [%ob, Momentum's %B]."""
        self.unique_id = unique_id
        """`apns-unique-id`, of the development environment [%ui]."""
        self.ordinal = ordinal
        """Tells apart what has no apns-id: the recipients of a message that could not be read, from 0."""

    @property
    def addressee(self) -> str:
        """Where it goes: the device token, or the channel."""
        return self.device_token or self.channel_id

    def variable(self, name: str) -> str:
        """A context variable, empty where there is none [%vctx_mess{name}]."""
        status = str(self.status) if self.status else ""
        known = variables(self.context, self.apns_id, status, self.error, self.sent_bytes, self.peer)
        return known.get(name, "")
