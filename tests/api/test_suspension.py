from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.kubectl.recorded import Recorded
from tubepost_api.config import DeliveryMode
from tubepost_cli.kubectl.suspension import (
    ANNOTATION,
    Suspension,
    mode_of,
    own_modes,
    read,
    resuming,
    suspending,
    words_of,
)
from tubepost_cli.kubectl.targets import PUSH_DOMAINS

SINCE = "2026-11-30T12:00:00.000Z"
modes = st.none() | st.sampled_from([mode.value for mode in DeliveryMode if mode is not DeliveryMode.SUSPEND])


def push_domain(mode: str | None, *own: str | None, annotated: bool = False) -> dict[str, Any]:
    spec: dict[str, Any] = {"domains": []}
    if mode is not None:
        spec["delivery"] = {"mode": mode}
    for number, one in enumerate(own):
        spec["domains"].append({"name": f"d{number}", **({"delivery": {"mode": one}} if one else {})})
    metadata: dict[str, Any] = {"name": "alerts", "namespace": "shop", "resourceVersion": "7"}
    if annotated:
        metadata["annotations"] = {"else": "kept"}
    return {"metadata": metadata, "spec": spec}


@given(mode=modes, own=st.lists(modes, min_size=1, max_size=4), annotated=st.booleans())
def test_resume_puts_back_what_suspend_found(
    mode: str | None, own: list[str | None], annotated: bool
) -> None:
    before = push_domain(mode, *own, annotated=annotated)
    cluster = Recorded({PUSH_DOMAINS: [before]})
    suspension = Suspension("alice", "INC-7", SINCE, "", mode_of(before), own_modes(before))
    cluster.patch(PUSH_DOMAINS, "alerts", suspending(before, suspension))
    suspended = cluster.object(PUSH_DOMAINS, "alerts")
    assert {mode_of(suspended), *own_modes(suspended).values()} == {"Suspend"}
    assert read(suspended) == suspension
    cluster.patch(PUSH_DOMAINS, "alerts", resuming(suspended))
    after = cluster.object(PUSH_DOMAINS, "alerts")
    assert (mode_of(after), own_modes(after)) == (mode_of(before), own_modes(before))
    assert ANNOTATION not in after["metadata"].get("annotations", {})
    assert after["metadata"].get("annotations", {}).get("else") == ("kept" if annotated else None)


def test_a_mode_that_somebody_has_set_since_is_kept() -> None:
    document = push_domain("Blackhole", "Refuse")
    suspension = Suspension("alice", "INC-7", SINCE, "", "Deliver", {"0": "Deliver", "9": "Deliver"})
    document["metadata"]["annotations"] = {ANNOTATION: suspension.text()}
    cluster = Recorded({PUSH_DOMAINS: [document]})
    cluster.patch(PUSH_DOMAINS, "alerts", resuming(document))
    after = cluster.object(PUSH_DOMAINS, "alerts")
    assert (mode_of(after), own_modes(after)) == ("Blackhole", {"0": "Refuse"})


def test_an_object_that_has_changed_meanwhile_is_not_patched() -> None:
    document = push_domain("Deliver", None)
    suspension = Suspension("alice", "INC-7", SINCE, "", "Deliver", {})
    assert suspending(document, suspension)[0] == {
        "op": "test",
        "path": "/metadata/resourceVersion",
        "value": "7",
    }
    assert resuming(document)[0]["op"] == "test"


@pytest.mark.parametrize("text", ["", "no json", "[]", "1", '{"before": []}', '{"before": {"domains": 3}}'])
def test_an_annotation_that_nobody_can_read_is_none(text: str) -> None:
    document = push_domain("Suspend", None)
    document["metadata"]["annotations"] = {ANNOTATION: text}
    assert read(document) is None
    assert any(one["path"] == "/spec/delivery/mode" for one in resuming(document))


def test_who_and_why_and_until_when() -> None:
    for_good = Suspension("alice", "INC-7", SINCE, "", "Deliver", {})
    assert list(words_of(for_good, SINCE)) == [f"by alice since {SINCE}, until somebody resumes it", "INC-7"]
    ended = Suspension("", "INC-7", SINCE, SINCE, "Deliver", {})
    assert "which has passed: `kubectl tubepost resume` ends it" in words_of(ended, "2026-12-01T00:00:00Z")[0]
    assert json.loads(for_good.text())["before"] == {"mode": "Deliver", "domains": {}}
