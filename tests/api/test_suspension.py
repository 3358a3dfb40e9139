from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.kubectl.recorded import Recorded
from tubepost_api.config import DeliveryMode
from tubepost_api.suspension import (
    ANNOTATION,
    Suspension,
    effective,
    in_force,
    mode_of,
    read,
    resuming,
    suspending,
    words_of,
)

KIND = "pushdomains.tubepost.io"
SINCE = "2026-11-30T12:00:00.000Z"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
modes = st.none() | st.sampled_from([mode.value for mode in DeliveryMode])


def push_domain(
    mode: str | None, *own: str | None, annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {"domains": []}
    if mode is not None:
        spec["delivery"] = {"mode": mode}
    for number, one in enumerate(own):
        spec["domains"].append({"name": f"d{number}", **({"delivery": {"mode": one}} if one else {})})
    metadata: dict[str, Any] = {"name": "alerts", "namespace": "shop", "resourceVersion": "7"}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec}


def modes_of(document: dict[str, Any]) -> set[str]:
    own = [one["delivery"]["mode"] for one in document["spec"]["domains"] if "delivery" in one]
    return {mode_of(document), *own}


@given(mode=modes, own=st.lists(modes, min_size=1, max_size=4), annotated=st.booleans())
def test_everything_is_suspended_and_resumed_and_the_spec_is_never_changed(
    mode: str | None, own: list[str | None], annotated: bool
) -> None:
    before = push_domain(mode, *own, annotations={"else": "kept"} if annotated else None)
    cluster = Recorded({KIND: [before]})
    suspension = Suspension("alice", "INC-7", SINCE, "")
    cluster.patch(KIND, "alerts", suspending(before, suspension))
    suspended = cluster.object(KIND, "alerts")
    assert read(suspended) == suspension
    assert suspended["spec"] == before["spec"]
    assert modes_of(effective(suspended, NOW)) == {"Suspend"}
    cluster.patch(KIND, "alerts", resuming(suspended))
    after = cluster.object(KIND, "alerts")
    assert effective(after, NOW) == after
    assert after["spec"] == before["spec"]
    assert after["metadata"].get("annotations", {}) == ({"else": "kept"} if annotated else {})


@pytest.mark.parametrize(("later", "mode"), [(0, "Deliver"), (1, "Deliver"), (-1, "Suspend")])
def test_it_ends_at_its_time(later: int, mode: str) -> None:
    annotation = Suspension("alice", "INC-7", SINCE, SINCE).text()
    document = push_domain("Deliver", None, annotations={ANNOTATION: annotation})
    assert mode_of(effective(document, NOW + timedelta(seconds=later))) == mode


def test_an_object_that_has_changed_meanwhile_is_not_patched() -> None:
    document = push_domain("Deliver", None)
    unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert suspending(document, Suspension("alice", "INC-7", SINCE, ""))[0] == unchanged
    assert resuming(document)[0] == unchanged


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_an_annotation_that_nobody_can_read_suspends_nothing(text: str) -> None:
    document = push_domain("Deliver", None, annotations={ANNOTATION: text})
    assert read(document) is None
    assert in_force(document, NOW) is None
    assert effective(document, NOW) == document


def test_who_and_why_and_until_when() -> None:
    for_good = Suspension("alice", "INC-7", SINCE, "")
    assert list(words_of(for_good)) == [f"by alice since {SINCE}, until somebody resumes it", "INC-7"]
    assert words_of(Suspension("", "INC-7", SINCE, SINCE))[0] == f"by somebody since {SINCE}, until {SINCE}"


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2026-11-30T12:00:00.000Z", NOW),
        ("2026-11-30T13:00:00+01:00", NOW),
        ("2026-11-30T12:00:00", NOW),
        ("", None),
        ("tomorrow", None),
        ("9999999999999", None),
    ],
)
def test_when_it_ends(until: str, end: datetime | None) -> None:
    assert Suspension("alice", "INC-7", SINCE, until).ends == end
