"""Options of delivery and of reports: from Momentum's values to fields of `delivery` and `bounces`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tubepost_importer.syntax import Option, Scalar

Path = tuple[str, ...]

SCHEDULE: Final = frozenset({"retry_interval", "max_retry_interval", "max_retries", "message_expiration"})
"""Options that concern queued notifications."""
SHORT_IDLE: Final = 60
"""Seconds: an idle_timeout below is not taken over."""
_MOST: Final = 1_000_000


class NotConverted(Exception):
    """An option that is not taken over; `by_hand`: somebody has to decide."""

    def __init__(self, why: str, *, by_hand: bool = True) -> None:
        super().__init__(why)
        self.why, self.by_hand = why, by_hand


@dataclass(frozen=True, slots=True)
class Converted:
    """A field (its path below `spec` or a domain) with its value, and what there is to say about it."""

    path: Path
    value: Any
    note: str = ""


def text_of(option: Option) -> str:
    """The option's single value. Raises NotConverted where it is a list."""
    if isinstance(option.value, Scalar):
        return option.value.text.strip()
    raise NotConverted("a single value is expected, not a list")


def boolean(option: Option) -> bool:
    """The option as true or false. Raises NotConverted."""
    text = text_of(option).lower()
    if text in {"true", "yes", "on", "1"}:
        return True
    if text in {"false", "no", "off", "0"}:
        return False
    raise NotConverted(f"{text!r:.40} is neither true nor false")


def number(option: Option, *, most: int = _MOST) -> int:
    """The option as a whole number. Raises NotConverted."""
    text = text_of(option)
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise NotConverted(f"{text!r:.40} is not a whole number")
    if int(text) > most:
        raise NotConverted(f"{text} is more than {most}, the most that the field takes")
    return int(text)


def duration(seconds: int) -> str:
    """Seconds as a Go duration, in the largest unit that needs no fraction."""
    for unit, size in (("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _seconds(path: str, *, zero: str | None = None) -> Callable[[Option], Converted]:
    def convert(option: Option) -> Converted:
        seconds = number(option, most=10**9)
        if not seconds and zero:
            raise NotConverted(zero)
        return Converted(("delivery", path), duration(seconds))

    return convert


def _count(path: str) -> Callable[[Option], Converted]:
    return lambda option: Converted(("delivery", path), number(option), note="per pod")


def _response_timeout(option: Option) -> Converted:
    milliseconds = number(option, most=10**9)
    if not milliseconds:
        raise NotConverted("0 is no limit there; here a request needs one: the default of 5s is kept")
    text = duration(milliseconds // 1_000) if milliseconds % 1_000 == 0 else f"{milliseconds}ms"
    return Converted(("delivery", "responseTimeout"), text)


def _idle_timeout(option: Option) -> Converted:
    seconds = number(option, most=10**9)
    if seconds < SHORT_IDLE:
        raise NotConverted(
            f"not taken over: Apple takes frequent reconnects for an attack; the default of 1h is kept. If "
            f"you need it: delivery.idleTimeout: {duration(max(seconds, 1))}"
        )
    return Converted(("delivery", "idleTimeout"), duration(seconds))


def _throttle(option: Option) -> Converted:
    text = text_of(option).replace(" ", "")
    if not re.fullmatch(r"[0-9]{1,9}(/[1-9][0-9]{0,5})?", text):
        raise NotConverted(f'{text!r:.40} is not a throttle: write "N" or "N/SECONDS" in delivery.throttle')
    return Converted(
        ("delivery", "throttle"), text, note="per pod, and for each domain that has the value or inherits it"
    )


def _retries(option: Option) -> Converted:
    text = text_of(option).lower()
    value: int | str = text if text in {"auto", "none"} else number(option)
    note = "auto is none here: messageExpiration is the limit" if value == "auto" else ""
    return Converted(("delivery", "maxRetries"), value, note)


def _suspend(option: Option) -> Converted:
    if not boolean(option):
        raise NotConverted("false is the default: delivery.mode Deliver", by_hand=False)
    return Converted(("delivery", "mode"), "Suspend")


def _blackhole(option: Option) -> Converted:
    text = text_of(option).lower()
    if text == "internal":
        return Converted(("delivery", "mode"), "Blackhole", note="250, discarded and counted")
    if text == "inline" or boolean(option):
        return Converted(("delivery", "mode"), "Refuse", note="RCPT is answered 550")
    raise NotConverted("false is the default: delivery.mode Deliver", by_hand=False)


def _bounces(option: Option) -> Converted:
    enabled = boolean(option)
    note = "with Direct acceptance the 5xx is the report; mails need bounces.relay" if enabled else ""
    return Converted(("bounces", "enabled"), enabled, note)


def _delay(option: Option) -> Converted:
    if not boolean(option):
        raise NotConverted("false is the default: bounces.delayNotices", by_hand=False)
    raise NotConverted(
        "notices of delay need a queue and a relay: set bounces.delayNotices and bounces.relay"
    )


OPTIONS: Final[dict[str, Callable[[Option], Converted]]] = {
    "delivery_response_timeout": _response_timeout,
    "connect_timeout": _seconds("connectTimeout", zero="0 is no limit there; the default of 30s is kept"),
    "idle_timeout": _idle_timeout,
    "max_outbound_connections": _count("maxOutboundConnections"),
    "max_deliveries_per_connection": _count("maxDeliveriesPerConnection"),
    "outbound_throttle_messages": _throttle,
    "apn_expiry": _seconds("expiry"),
    "retry_interval": _seconds("retryInterval", zero="0 is not possible: the default of 20m is kept"),
    "max_retry_interval": _seconds("maxRetryInterval", zero="0 is not possible: the default of 12h is kept"),
    "max_retries": _retries,
    "message_expiration": _seconds(
        "messageExpiration", zero="0 is not possible: the default of 168h is kept"
    ),
    "suspend_delivery": _suspend,
    "blackhole": _blackhole,
    "generate_bounces": _bounces,
    "generate_delay_dsn": _delay,
}
"""Options with a field of `delivery` or `bounces`, and how each is converted (raises NotConverted)."""
