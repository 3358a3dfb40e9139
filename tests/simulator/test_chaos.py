from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_simulator import Chaos, ChaosError, Reason
from tubepost_simulator.chaos import ConnectionAction, LastStreamId, parse, patch

NAMES = tuple(Chaos().model_dump(by_alias=True))


def test_patch_changes_what_it_names() -> None:
    current = parse({"latencyMs": 5, "goaway": {"reason": "X", "errorCode": 3}})
    changed, action = patch(current, {"refuseNext": 2, "goaway": {"lastStreamId": "Zero"}})
    assert action is None
    assert (changed.latency_ms, changed.refuse_next) == (5, 2)
    assert (changed.goaway.last_stream_id, changed.goaway.reason, changed.goaway.error_code) == (
        LastStreamId.ZERO,
        "X",
        3,
    )


def test_null_restores_a_default() -> None:
    changed, _ = patch(parse({"latencyMs": 5, "maxConcurrentStreams": 1}), {"latencyMs": None})
    assert (changed.latency_ms, changed.max_concurrent_streams) == (0, 1)


def test_action_is_no_switch() -> None:
    changed, action = patch(Chaos(), {"now": "Drop"})
    assert (changed, action) == (Chaos(), ConnectionAction.DROP)


def test_errors_by_reason() -> None:
    assert parse({"errors": {"Shutdown": 0.5}}).errors == {Reason.SHUTDOWN: 0.5}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"latency": 1}, "latency"),
        ({"latency": None}, "latency"),
        ({"latencyMs": -1}, "latencyMs"),
        ({"latencyMs": "5"}, "latencyMs"),
        ({"latencyMs": float("inf")}, "latencyMs"),
        ({"refuseNext": 1.5}, "refuseNext"),
        ({"maxConcurrentStreams": 2**31}, "maxConcurrentStreams"),
        ({"stall": "Maybe"}, "stall"),
        ({"now": "Explode"}, "now"),
        ({"now": None}, "now"),
        ({"goaway": {"lastStreamId": "Odd"}}, "goaway.lastStreamId"),
        ({"goaway": "Exact"}, "goaway"),
        ({"streamsAfter": {"requests": 0, "limit": 1}}, "streamsAfter.requests"),
        ({"errors": {"Nonsense": 0.1}}, "errors.Nonsense"),
        ({"errors": {"Shutdown": 1.1}}, "errors.Shutdown"),
        ({"errors": {"Shutdown": 0.6, "BadTopic": 0.6}}, "errors"),
    ],
)
def test_faults_name_their_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ChaosError) as caught:
        patch(Chaos(), changes)
    assert caught.value.field == field
    assert caught.value.message
    assert str(caught.value).startswith(field)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.one_of(st.sampled_from((*NAMES, "now")), st.text(max_size=8)), JSON, max_size=4))
def test_any_patch_is_taken_or_refused(changes: dict[str, Any]) -> None:
    try:
        changed, _ = patch(Chaos(), changes)
    except ChaosError:
        return
    assert parse(changed.model_dump(mode="json", by_alias=True)) == changed


def test_every_switch_is_described() -> None:
    assert all(field.description for field in Chaos.model_fields.values())
