from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tubepost_dispatcher.feeds.event_filter import EventFilter
from tubepost_dispatcher.feeds.events import EVENT_KINDS, LogEvent

MakeEvent = Callable[..., LogEvent]


def taken(which: EventFilter, make_event: MakeEvent) -> list[str]:
    events = {
        "delivered": make_event("delivery"),
        "dead": make_event("permfail", http_status=410, reason="Unregistered", dead_token_timestamp=1),
        "expired": make_event("permfail", http_status=410, reason="ExpiredToken"),
        "bad": make_event("permfail", http_status=400, reason="BadDeviceToken"),
        "busy": make_event("tempfail", http_status=503, reason="ServiceUnavailable"),
        "channel": make_event("permfail", http_status=410, reason="Unregistered", device_token=""),
    }
    return [name for name, event in events.items() if event.kind in which.kinds and which.takes(event)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, ["delivered", "dead", "expired", "bad", "busy", "channel"]),
        ({"outcomes": ["Delivered"]}, ["delivered"]),
        ({"outcomes": ["Permanent", "Transient"]}, ["dead", "expired", "bad", "busy", "channel"]),
        ({"reasons": ["BadDeviceToken", "ServiceUnavailable"]}, ["bad", "busy"]),
        ({"outcomes": ["Permanent"], "reasons": ["ServiceUnavailable"]}, []),
        ({"dead_tokens": True}, ["dead", "expired"]),
        ({"dead_tokens": True, "reasons": ["ExpiredToken"]}, ["expired"]),
        ({"dead_tokens": True, "outcomes": ["Delivered"]}, []),
    ],
)
def test_what_a_filter_takes(make_event: MakeEvent, arguments: dict[str, Any], names: list[str]) -> None:
    assert taken(EventFilter(**arguments), make_event) == names


def test_no_event_is_made_for_kinds_that_are_never_taken() -> None:
    assert EventFilter().kinds == set(EVENT_KINDS)
    assert not EventFilter(outcomes=["Delivered"]).selective
    only = EventFilter(dead_tokens=True)
    assert (only.kinds, only.selective) == ({"permfail"}, True)
