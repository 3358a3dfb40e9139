from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.cases import snapshot
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, Meta
from tubepost_operator.plan.ownership import is_leaving, is_orphan, is_ours, owns_claim

SEEN = snapshot("first-publish")
META = Meta(
    key=Key("Service", "default", "alerts"),
    uid="u",
    version="1",
    generation=0,
    labels=Names.labels("alerts"),
    annotations={},
    owner=None,
    owner_name=None,
    created="",
    deleting=False,
)


@pytest.mark.parametrize(
    ("meta", "ours", "orphan", "leaving"),
    [
        (replace(META, owner=SEEN.uid, owner_name="PushDomain/alerts"), True, False, False),
        (replace(META, owner=SEEN.uid, owner_name="PushDomain/alerts", labels={}), True, False, False),
        (META, True, True, False),
        (replace(META, labels={**META.labels, "team": "push"}), True, True, False),
        (replace(META, labels=Names.labels("other")), False, False, False),
        (replace(META, labels={**META.labels, Names.MANAGED_LABEL: "Helm"}), False, False, False),
        (replace(META, labels={}), False, False, False),
        (replace(META, co_owners=("somebody",)), False, False, False),
        (replace(META, co_owners=(SEEN.uid, "somebody")), False, False, False),
        (replace(META, co_owners=(SEEN.uid,)), True, True, False),
        (replace(META, owner=SEEN.uid, co_owners=("somebody",)), True, False, False),
        (replace(META, owner="helm", owner_name="Release/x"), False, False, False),
        (replace(META, owner="former", owner_name="PushDomain/alerts"), False, False, True),
        (replace(META, deleting=True), True, True, True),
    ],
)
def test_whose_it_is(meta: Meta, ours: bool, orphan: bool, leaving: bool) -> None:
    assert is_ours(SEEN, meta) is ours
    assert is_orphan(SEEN, meta) is orphan
    assert is_leaving(SEEN, meta) is leaving


@pytest.mark.parametrize(
    ("meta", "ours"),
    [
        (META, True),
        (replace(META, labels={**META.labels, "team": "push"}), True),
        (replace(META, owner="uid-s", co_owners=(SEEN.uid,)), True),
        (replace(META, co_owners=("uid-s",)), True),
        (replace(META, labels=Names.labels("other")), False),
        (replace(META, labels={}), False),
        (replace(META, owner="somebody"), False),
        (replace(META, co_owners=("uid-s", "somebody")), False),
    ],
)
def test_a_claim_is_nobody_elses(meta: Meta, ours: bool) -> None:
    workload = replace(META, uid="uid-s", key=Key("StatefulSet", "default", "alerts"), owner=SEEN.uid)
    seen = replace(SEEN, children={workload.key: Child(workload)})
    assert owns_claim(seen, meta) is ours
