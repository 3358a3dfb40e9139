"""Events as CloudEvents 1.0 in JSON, for the structured and the batch content mode. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tubepost_dispatcher.feeds.events import EventKind, LogEvent
from tubepost_dispatcher.feeds.json_format import json_line, timestamp
from tubepost_runtime.json_line import encode

CONTENT_TYPE: Final = "application/cloudevents-batch+json; charset=utf-8"
TYPES: Final[Mapping[EventKind, str]] = {
    "delivery": "io.tubepost.notification.delivered",
    "permfail": "io.tubepost.notification.failed",
    "tempfail": "io.tubepost.notification.deferred",
}
"""The `type` of an event, by its kind."""
_WORDS: Final = {kind: name.rpartition(".")[2] for kind, name in TYPES.items()}


def source_of(namespace: str, push_domain: str) -> str:
    """The `source` of a PushDomain's events: its path in the Kubernetes API."""
    return f"/apis/tubepost.io/v1alpha1/namespaces/{namespace}/pushdomains/{push_domain}"


def event_id(event: LogEvent) -> str:
    """The `id` of an event: the same whenever it is sent, another one for everything else.

    Message, notification, attempt and what came of it. An attempt that is made once more, since the process
    that made it was killed before it could note that, may have another outcome, and is another event then.
    """
    what = event.apns_id or str(event.ordinal)
    return f"{event.message_id}/{what}/{event.attempt}/{_WORDS[event.kind]}"


def cloud_event(event: LogEvent, namespace: str) -> bytes:
    """One event as a JSON object on one line; `data` is what format Json writes."""
    head = {
        "specversion": "1.0",
        "id": event_id(event),
        "source": source_of(namespace, event.push_domain),
        "type": TYPES[event.kind],
        "subject": event.apns_id or event.message_id,
        "time": timestamp(event.time),
        "datacontenttype": "application/json",
    }
    return encode(head)[:-1] + b',"data":' + json_line(event) + b"}"


def batch(events: Iterable[bytes]) -> bytes:
    """The body of a request with these events."""
    return b"[" + b",".join(events) + b"]"
