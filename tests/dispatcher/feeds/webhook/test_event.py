from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.feeds.events import EVENT_KINDS, LogEvent
from tubepost_dispatcher.feeds.json_format import json_line
from tubepost_dispatcher.feeds.webhook.event import TYPES, batch, cloud_event, event_id, source_of

MakeEvent = Callable[..., LogEvent]


def test_an_event_is_a_cloudevent_around_the_json_line(make_event: MakeEvent) -> None:
    dead = make_event(
        "permfail", http_status=410, reason="Unregistered", dead_token_timestamp=1767139200000, attempt=2
    )
    found = json.loads(cloud_event(dead, "push"))
    data = found.pop("data")
    assert found == {
        "specversion": "1.0",
        "id": "0f3a-7/123e4567-e89b-12d3-a456-426614174000/2/failed",
        "source": "/apis/tubepost.io/v1alpha1/namespaces/push/pushdomains/alerts",
        "type": "io.tubepost.notification.failed",
        "subject": "123e4567-e89b-12d3-a456-426614174000",
        "time": "2026-01-01T00:00:00.250Z",
        "datacontenttype": "application/json",
    }
    assert data == json.loads(json_line(dead))
    assert (data["deadToken"], data["deadTokenTimestamp"]) == (dead.device_token, 1767139200000)


def test_each_kind_has_a_type_and_ids_tell_everything_apart(make_event: MakeEvent) -> None:
    assert set(TYPES) == set(EVENT_KINDS)
    events = [make_event(kind, attempt=attempt) for kind in EVENT_KINDS for attempt in (0, 1, 2)]
    events += [make_event(apns_id="", ordinal=number) for number in (0, 1)]
    events += [make_event(message_id="other"), make_event(apns_id="other")]
    assert len({event_id(event) for event in events}) == len(events)
    assert event_id(make_event(time=2.0)) == event_id(make_event(time=1.0)), "when it is told does not matter"


def test_what_has_no_apns_id_is_about_its_message(make_event: MakeEvent) -> None:
    assert json.loads(cloud_event(make_event(apns_id=""), "push"))["subject"] == "0f3a-7"


@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=4))
def test_a_batch_is_an_array_whatever_is_in_it(texts: list[str]) -> None:
    lines = [
        cloud_event(LogEvent("tempfail", 1.0, message_id="m", error=text, push_domain=text), "push")
        for text in texts
    ]
    assert all(line.count(b"\n") == 0 for line in lines)
    found = json.loads(batch(lines))
    assert [one["data"]["error"] for one in found] == texts
    assert [one["source"] for one in found] == [source_of("push", text) for text in texts]
