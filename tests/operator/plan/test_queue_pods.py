from __future__ import annotations

from dataclasses import replace

from tests.operator.plan.moving import CLAIM, claim, claims, pod, settled
from tubepost_operator.observed import Child, Key
from tubepost_operator.plan.moves import Workload
from tubepost_operator.plan.queue_pods import (
    bound,
    claim_key,
    kind_of,
    missing,
    ordinal,
    queue_pod,
    workload,
    workload_body,
)

STAYS = {"Deployment": False, "StatefulSet": True}


def test_a_workload_is_ours_and_stays() -> None:
    seen = settled(CLAIM)
    key = Key("StatefulSet", "default", "alerts")
    assert workload(seen, "StatefulSet") is not None
    assert workload_body(seen, "StatefulSet") == seen.children[key].body
    assert workload_body(seen, "Deployment") is None
    for change in ({"owner": "other"}, {"deleting": True}):
        child = Child(replace(seen.children[key].meta, **change), seen.children[key].body)
        assert workload(replace(seen, children={key: child}), "StatefulSet") is None


def test_pods_are_of_the_workload_that_made_them() -> None:
    assert kind_of(pod("alerts-0")) == "StatefulSet"
    assert kind_of(pod("alerts-1-abcde")) == "Deployment"
    assert (ordinal(pod("alerts-11")), ordinal(pod("alerts-1-abcde"))) == (11, None)


def test_a_claim_without_a_volume_has_nothing_in_it() -> None:
    seen = claims(settled(CLAIM), claim(0, "Pending"), claim(1))
    assert [bound(seen, number) for number in range(3)] == [False, True, True]
    looked = replace(seen, read=seen.read | {claim_key(seen, 2)})
    assert not bound(looked, 2), "it was looked for"
    there = {"StatefulSet": Workload("StatefulSet", 3, 0, queue=True)}
    assert [one.left for one in missing(seen, there)] == [0, None, None]
    assert list(missing(seen, {})) == []


def test_what_a_pod_does_not_say_is_not_known() -> None:
    seen = settled(CLAIM)
    unasked = pod("alerts-0", queue="Claim")
    assert queue_pod(seen, unasked, "", STAYS).trouble == "has not been asked"
    asked = replace(settled(CLAIM, pods=(unasked,)))
    assert queue_pod(asked, unasked, "", STAYS).left == 0
    aside = pod("alerts-0", queue="Claim", set_aside=1)
    assert queue_pod(asked, aside, "", STAYS).left == 0
    assert queue_pod(asked, aside, "", {**STAYS, "StatefulSet": False}).left is None
