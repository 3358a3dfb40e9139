from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.feeds import spans

MESSAGE = "1a214b66f6e0000005bd18937"


def test_ids_follow_from_names_so_that_whoever_tells_of_a_message_is_in_its_trace() -> None:
    assert spans.trace_id(MESSAGE) == spans.trace_id(MESSAGE)
    assert len(bytes.fromhex(spans.trace_id(MESSAGE))) == 16
    assert len(bytes.fromhex(spans.span_id("message", MESSAGE))) == 8
    assert spans.span_id("a", "b") != spans.span_id("a/b", "")
    assert spans.session_ids("2079dd-1")[0] != spans.trace_id("2079dd-1")


@given(st.text(min_size=1))
def test_a_message_is_sampled_wherever_it_is_asked_and_never_less_with_more(name: str) -> None:
    answers = [spans.sampled(name, percent) for percent in range(1, 101)]
    assert answers == sorted(answers)
    assert answers[-1]


def test_of_many_messages_about_the_wanted_share_is_sampled() -> None:
    kept = sum(spans.sampled(f"message {number}", 10) for number in range(5_000))
    assert 350 < kept < 650


def test_a_span_as_otlp_has_it() -> None:
    made = spans.span(
        spans.trace_id(MESSAGE),
        spans.span_id("message", MESSAGE),
        "message",
        spans.SERVER,
        1.5,
        2.0,
        {"text": "a", "count": 2**60, "share": 0.5, "on": True, "none": ""},
        parent="00f067aa0ba902b7",
        link=("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"),
        error="451 Suspended",
    )
    assert made["startTimeUnixNano"] == "1500000000"
    assert made["endTimeUnixNano"] == "2000000000"
    assert made["attributes"] == [
        {"key": "text", "value": {"stringValue": "a"}},
        {"key": "count", "value": {"intValue": str(2**60)}},
        {"key": "share", "value": {"doubleValue": 0.5}},
        {"key": "on", "value": {"boolValue": True}},
    ]
    assert made["parentSpanId"] == "00f067aa0ba902b7"
    assert made["links"] == [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}]
    assert made["status"] == {"code": 2, "message": "451 Suspended"}
    body = spans.request([made], {"service.name": "tubepost-dispatcher"})
    (resource,) = json.loads(json.dumps(body))["resourceSpans"]
    assert resource["scopeSpans"][0]["spans"] == [made]


@pytest.mark.parametrize("missing", ["parentSpanId", "links", "status"])
def test_what_a_span_does_not_have_is_left_out(missing: str) -> None:
    assert missing not in spans.span("a", "b", "c", spans.CLIENT, 1.0, 0.5, {})
