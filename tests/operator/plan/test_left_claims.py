from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.cases import applied
from tests.operator.plan.moving import (
    CLAIM,
    DIRECT,
    OWNER,
    arranged,
    claim,
    claims,
    drain_pod,
    drained_claim,
    joined,
    pod,
    settled,
    wanting,
)
from tubepost_api.config import QueueConfig, ServingWorkload
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, Pod, PodMetrics
from tubepost_operator.plan.claims import Claims
from tubepost_operator.plan.left_claims import abandons, deletes
from tubepost_operator.plan.push_domain import plan_push_domain
from tubepost_operator.plan.workloads import Arrangement
from tubepost_operator.snapshot import PushDomainSnapshot


def found(seen: PushDomainSnapshot) -> Arrangement:
    arrangement = arranged(seen).arranged
    assert arrangement is not None
    return arrangement


def draining(seen: PushDomainSnapshot, *pods: Pod) -> PushDomainSnapshot:
    asked = {PodMetrics(OWNER, one.meta.uid, one.url) for one in pods if one.url}
    return replace(seen, drains=pods, read=seen.read | asked)


def three(left: int, **fields: object) -> tuple[Pod, ...]:
    said: dict[str, object] = {"queued": left, **fields}
    first = pod("alerts-0", queue="Claim", retiring=False)
    return (first, *(pod(f"alerts-{number}", queue="Claim", **said) for number in (1, 2)))  # type: ignore[arg-type]


def fewer(left: int = 0) -> PushDomainSnapshot:
    """Three replicas that are to be one; the others say what they have."""
    seen = settled(CLAIM, pods=three(left), replicas=3)
    return wanting(claims(seen, claim(0), claim(1), claim(2)), CLAIM, replicas=1)


def test_a_claim_is_marked_when_its_pod_is_known_to_be_empty_and_goes() -> None:
    assert found(fewer()).settlement.replicas == 1
    assert found(fewer()).claims == Claims(mark=(1, 2))
    waiting = found(fewer(5))
    assert (waiting.settlement.replicas, waiting.claims) == (3, Claims())


def test_a_claim_without_a_pod_is_drained_until_its_pod_says_that_it_is_empty() -> None:
    seen = claims(settled(CLAIM), claim(0), claim(1))
    arrangement = found(seen)
    assert arrangement.claims.drains == (1,)
    (source,) = arrangement.draining
    assert (source.drains, source.config.serving) == (1, (ServingWorkload(kind="Deployment"),))
    assert source.config_map not in {arrangement.source.config_map, ""}
    assert arrangement.source.config.serving == (), "nobody else retires"
    busy = found(draining(seen, drain_pod(1, queued=3)))
    assert [one.left for one in busy.claims.left] == [3]
    assert busy.waits
    assert busy.left == 3
    for trouble in (
        drain_pod(1, retiring=False),
        drain_pod(1, quiet_for=1.0),
        drain_pod(1, sessions=1),
        drain_pod(1, url=None),
        drain_pod(1, queued=None),
        drain_pod(1, digest=None),
    ):
        (left,) = found(draining(seen, trouble)).claims.left
        assert left.drained
        assert left.why
    assert found(draining(seen, drain_pod(1))).claims == Claims(mark=(1,), emptied=(1,))
    assert not found(claims(seen, drained_claim(1))).waits


def test_more_replicas_take_the_mark_off_before_they_have_the_claim() -> None:
    seen = wanting(claims(settled(CLAIM), claim(0), drained_claim(1)), CLAIM, replicas=2)
    assert found(seen).claims == Claims(unmark=(1,))
    assert not found(seen).draining


def test_a_new_push_domain_of_the_same_name_finds_the_claims_of_the_former() -> None:
    for seen in (
        claims(settled(DIRECT), claim(0), claim(1)),
        claims(wanting(settled(DIRECT), DIRECT), claim(0), claim(1)),
    ):
        assert found(seen).claims.drains == (0, 1)
    without_owner = claim(1)
    metas = {
        "of another": replace(without_owner.meta, labels=Names.labels("other")),
        "owned": replace(without_owner.meta, owner="uid-x", owner_name="Backup/x"),
    }
    for meta in metas.values():
        (left,) = found(claims(settled(CLAIM), Child(meta, without_owner.body))).claims.left
        assert not left.drained
        assert not found(claims(settled(CLAIM), Child(meta, without_owner.body))).waits, "a watch will tell"
    mine = replace(without_owner.meta, co_owners=("uid-StatefulSet",))
    assert found(claims(settled(CLAIM), Child(mine, without_owner.body))).claims.drains == (1,)


def test_a_claim_is_drained_from_disk_wherever_the_queue_is_now() -> None:
    stream = {"queue": {"jetStream": {"servers": ["nats://nats.queue.svc:4222"]}}}
    (source,) = found(claims(settled(CLAIM, stream), claim(0))).draining
    assert source.config.queue == QueueConfig(persistent=True)


def test_only_claims_of_queues_are_looked_at() -> None:
    meta = replace(claim(1).meta, key=Key("PersistentVolumeClaim", "default", "queue-alerts-01"))
    assert found(claims(settled(CLAIM), Child(meta, claim(1).body))).claims == Claims()


@pytest.mark.parametrize(("retention", "goes"), [("Retain", True), ("Delete", False)])
def test_claims_that_would_go_with_the_stateful_set_are_drained_first(retention: str, goes: bool) -> None:
    spec = {**CLAIM, "queue": {"disk": {"claim": {"retention": retention}}}}
    old = claims(settled(spec, pods=(pod("alerts-0", queue="Claim"),)), claim(0), claim(1))
    arrangement = found(wanting(joined(old, settled(DIRECT)), DIRECT))
    assert arrangement.claims.drains == (1,)
    assert arrangement.settlement.remove_old is goes


def test_what_was_set_aside_keeps_a_claim_that_would_be_deleted() -> None:
    for policy, empty in (("Retain", True), ("Delete", False)):
        spec = {**CLAIM, "queue": {"disk": {"claim": {"whenScaled": policy}}}}
        seen = claims(settled(spec), claim(0), claim(1))
        assert bool(found(draining(seen, drain_pod(1, set_aside=1))).claims.emptied) is empty


def test_the_users_words() -> None:
    seen = settled(CLAIM)
    assert not abandons(seen)
    metadata = {**seen.document["metadata"], "annotations": {Names.ABANDON_ANNOTATION: str(seen.generation)}}
    given_up = replace(seen, document={**seen.document, "metadata": metadata})
    assert abandons(given_up)
    assert found(claims(given_up, claim(0), claim(1))).claims == Claims(given_up=(1,))
    for policy in ("Retain", "Delete"):
        spec = {**CLAIM, "queue": {"disk": {"claim": {"whenScaled": policy}}}}
        assert deletes(found(settled(spec)).source) is (policy == "Delete")
    assert not deletes(found(settled(DIRECT)).source)


def test_drain_pods_see_a_change_at_once() -> None:
    seen = draining(claims(settled(CLAIM), claim(0), claim(1)), drain_pod(1, queued=3))
    decision = arranged(seen)
    refreshed = [(item.key.name, item.digest) for item in plan_push_domain(seen, decision).refresh]
    assert refreshed == []  # the ConfigMap is written first
    written = replace(seen, children={**seen.children, **applied(seen, None)})
    refreshed = [(item.key.name, item.digest) for item in plan_push_domain(written).refresh]
    assert refreshed == [(drain_pod(1).meta.key.name, decision.digest)]


def test_why_there_is_no_drain_pod_is_told_and_a_lost_one_is_not_asked() -> None:
    seen = claims(settled(CLAIM), claim(0), claim(1))
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    meta = replace(claim(1).meta, key=Key("Deployment", "default", Names.drain("alerts", 1)))
    refused = claims(seen, Child(meta, {"status": {"conditions": [failure]}}))
    (left,) = found(refused).claims.left
    assert left.why == "its drain pod is refused: exceeded quota: pods"
    (left,) = found(claims(seen, Child(meta, None))).claims.left
    assert left.why == "its drain pod is not there yet"
    lost = drain_pod(1, url=None, trouble="NodeLost")
    lost = replace(lost, meta=replace(lost.meta, deleting=True))
    second = drain_pod(1, queued=9)
    for pods in ((lost, second), (second, lost)):
        assert [one.left for one in found(draining(seen, *pods)).claims.left] == [9]
    unread = Child(claim(1).meta, None)
    assert found(claims(settled(CLAIM), unread)).claims.drains == (1,)
