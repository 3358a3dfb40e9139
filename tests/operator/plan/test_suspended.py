from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.operator.plan.test_needs import running
from tubepost_api.suspension import ANNOTATION, Suspension
from tubepost_operator.plan.delivering import delivering
from tubepost_operator.plan.push_domain import decide, plan_push_domain
from tubepost_operator.plan.suspended import left
from tubepost_operator.snapshot import PushDomainSnapshot

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SINCE = "2026-11-30T11:00:00.000Z"


def suspended(seconds: float | None, reason: str = "INC-7") -> PushDomainSnapshot:
    """A PushDomain that is suspended for so many seconds from NOW."""
    seen = running()
    until = (NOW + timedelta(seconds=seconds)).isoformat() if seconds is not None else ""
    annotation = Suspension("alice", reason, SINCE, until).text()
    metadata = {**seen.document["metadata"], "annotations": {ANNOTATION: annotation}}
    return replace(seen, document={**seen.document, "metadata": metadata}, now=NOW)


def modes(seen: PushDomainSnapshot) -> set[str]:
    source = decide(seen).selection.source
    assert source is not None
    return {str(entry.delivery.mode) for entry in source.config.entries}


@pytest.mark.parametrize(
    ("seconds", "mode"), [(None, "Suspend"), (90, "Suspend"), (0, "Deliver"), (-1, "Deliver")]
)
def test_what_is_published_is_suspended_until_its_time(seconds: float | None, mode: str) -> None:
    assert modes(suspended(seconds)) == {mode}


@pytest.mark.parametrize(("seconds", "ahead"), [(None, None), (90, 90.0), (0, None)])
def test_its_end_is_looked_at(seconds: float | None, ahead: float | None) -> None:
    seen = suspended(seconds)
    assert left(seen.document, NOW) == ahead
    if ahead is not None:
        again = plan_push_domain(seen).again
        assert again is not None
        assert again <= ahead


def test_the_condition_says_until_when_and_why() -> None:
    seen = suspended(60, "wrong text,\x1b[31m see INC-7.")
    found = delivering(seen, decide(seen).selection, 1)
    assert found.message == (
        f"Messages are answered 451: suspended by alice since {SINCE}, until "
        "2026-11-30T12:01:00+00:00: wrong text,[31m see INC-7."
    )


def test_what_others_wrote_is_bounded() -> None:
    seen = suspended(None, "x" * 10_000)
    assert len(delivering(seen, decide(seen).selection, 1).message) < 1000
    document = seen.document
    document["metadata"]["annotations"][ANNOTATION] = json.dumps(["no suspension"])
    assert modes(seen) == {"Deliver"}
