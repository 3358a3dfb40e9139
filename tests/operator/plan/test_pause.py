from __future__ import annotations

import pytest

from tests.operator.objects import push_domain
from tubepost_operator.actions import Apply, Mark
from tubepost_operator.names import Names
from tubepost_operator.observed import Key
from tubepost_operator.plan.children import ChildrenPlan
from tubepost_operator.plan.pause import is_paused, withheld

CLAIM = Key("PersistentVolumeClaim", "default", "queue-alerts-1")
SERVICE = Key("Service", "default", "alerts")


@pytest.mark.parametrize(
    ("value", "paused"), [(None, False), ("", True), ("true", True), ("debugging", True), ("False", False)]
)
def test_whatever_it_says_but_false_pauses(value: str | None, paused: bool) -> None:
    document = push_domain()
    if value is not None:
        document["metadata"]["annotations"] = {Names.PAUSED_ANNOTATION: value}
    assert is_paused(document) is paused


def test_writes_are_withheld_and_named() -> None:
    plan = withheld(
        ChildrenPlan(
            apply=[Apply(SERVICE, {})],
            repaired={SERVICE: []},
            conflicts=[SERVICE],
            marks=[Mark(CLAIM, drained=True)],
        )
    )
    assert (plan.apply, plan.repaired, plan.delete, plan.scale, plan.marks) == ([], {}, [], None, [])
    assert (plan.withheld, plan.conflicts, plan.paused) == ([SERVICE, CLAIM], [SERVICE], True)
