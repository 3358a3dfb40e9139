from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.plan.moving import (
    CLAIM,
    DIRECT,
    EMPTY_DIR,
    OWNER,
    STREAM,
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
from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.actions import Mark
from tubepost_operator.conditions import REASONS, PlannedCondition
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, LiveStatus, Pod, PodMetrics
from tubepost_operator.plan.push_domain import plan_push_domain
from tubepost_operator.plan.queue_conditions import queue_conditions, queue_events
from tubepost_operator.snapshot import PushDomainSnapshot


def found(seen: PushDomainSnapshot) -> dict[ConditionType, PlannedCondition]:
    arrangement = arranged(seen).arranged
    assert arrangement is not None
    result = {condition.type: condition for condition in queue_conditions(seen, arrangement)}
    for condition in result.values():
        assert condition.reason in REASONS[condition.type][condition.status]
    return result


def leaving(*pods: Pod, **retention: str) -> PushDomainSnapshot:
    """A StatefulSet that retires, since the PushDomain is Direct now."""
    claim = {"queue": {"disk": {"claim": {**CLAIM["queue"]["disk"]["claim"], **retention}}}}
    old = settled(CLAIM, claim, pods=pods, replicas=max(1, len(pods)))
    return wanting(joined(old, settled(DIRECT)), DIRECT)


def test_without_a_queue_there_is_no_word_of_one() -> None:
    assert found(settled(DIRECT)) == {}


def test_a_queue_on_an_empty_dir_says_what_a_lost_pod_costs() -> None:
    conditions = found(settled(EMPTY_DIR))
    durable = conditions[ConditionType.QUEUE_DURABLE]
    assert (durable.status, durable.reason) == ("False", Reason.EPHEMERAL)
    assert "deleted, evicted or lost" in durable.message
    assert "within 290 seconds" in durable.message
    assert "Remedy, where that is too much: set queue.disk.claim." in durable.message
    assert conditions[ConditionType.QUEUE_SETTLED].status == "True"
    quick = found(settled(EMPTY_DIR, podTemplate={"terminationGracePeriodSeconds": 30}))
    assert "within 20 seconds" in quick[ConditionType.QUEUE_DURABLE].message


def test_a_queue_on_a_claim_is_durable_and_keeps_what_cannot_change() -> None:
    durable = found(settled(CLAIM))[ConditionType.QUEUE_DURABLE]
    assert (durable.status, durable.reason) == ("True", Reason.PERSISTENT)
    assert durable.message.endswith("queue-alerts-N.")
    other = {"size": "1Gi", "storageClassName": "slow", "accessModes": ["ReadWriteMany"]}
    message = found(wanting(settled(CLAIM), CLAIM, queue={"disk": {"claim": other}}))[
        ConditionType.QUEUE_DURABLE
    ].message
    assert "storageClassName fast (spec: slow)" in message
    assert "accessModes ReadWriteOnce (spec: ReadWriteMany)" in message
    assert "size 2Gi (spec: 1Gi)" in message
    assert "Remedy: take queue.disk.claim out of the spec" in message
    default = found(wanting(settled(CLAIM), CLAIM, queue={"disk": {"claim": {"size": "4Gi"}}}))
    assert default[ConditionType.QUEUE_DURABLE].message == durable.message


def test_pods_that_are_waited_for_are_named_with_what_they_have() -> None:
    seen = leaving(
        pod("alerts-0", queue="Claim", queued=12_345), pod("alerts-1", queue="Claim", url=None, trouble="OOM")
    )
    conditions = found(seen)
    assert ConditionType.QUEUE_DURABLE not in conditions
    draining = conditions[ConditionType.QUEUE_SETTLED]
    assert (draining.status, draining.reason) == ("False", Reason.QUEUE_DRAINING)
    assert "2 pods are kept" in draining.message
    assert "alerts-0 (12000 queued), alerts-1 (not known: OOM)" in draining.message
    assert "tubepost queue drop" in draining.message
    command = f"kubectl --namespace default annotate --overwrite pushdomain alerts {Names.ABANDON_ANNOTATION}"
    assert f"{command}={seen.generation} (it stays in its claim" in draining.message
    many = leaving(*(pod(f"alerts-{number}", queue="Claim", queued=1) for number in range(7)))
    assert found(many)[ConditionType.QUEUE_SETTLED].message.count("(1 queued)") == 5
    assert ", and 2 more." in found(many)[ConditionType.QUEUE_SETTLED].message


@pytest.mark.parametrize(
    ("seen", "price"),
    [
        (leaving(pod("alerts-0", queue="Claim", queued=1)), "it stays in its claim, unless that is deleted"),
        (
            wanting(
                settled(
                    {"queue": {"disk": {"claim": {"retention": "Delete"}}}},
                    pods=tuple(pod(f"alerts-{n}", queue="Claim", queued=1, ready=True) for n in range(2)),
                    replicas=2,
                ),
                {"queue": {"disk": {"claim": {"retention": "Delete"}}}},
            ),
            "it is deleted with its claim",
        ),
        (
            wanting(
                settled(EMPTY_DIR, pods=(pod("alerts-1-x", queue="EmptyDir", queued=1, retiring=False),)),
                DIRECT,
            ),
            "it is lost",
        ),
        (
            wanting(
                joined(
                    settled(STREAM, pods=(pod("alerts-1-x", queue="JetStream", queued=1),)),
                    settled(CLAIM, pods=(pod("alerts-0", queue="Claim", retiring=False),)),
                ),
                CLAIM,
            ),
            "it stays in its stream, which nobody reads any more",
        ),
    ],
)
def test_giving_up_has_its_price(seen: PushDomainSnapshot, price: str) -> None:
    assert f"({price}" in found(seen)[ConditionType.QUEUE_SETTLED].message
    arrangement = arranged(seen).arranged
    assert arrangement is not None
    assert not list(queue_events(seen, arrangement))
    annotations = {Names.ABANDON_ANNOTATION: str(seen.generation)}
    metadata = {**seen.document["metadata"], "annotations": annotations}
    given_up = replace(seen, document={**seen.document, "metadata": metadata})
    arrangement = arranged(given_up).arranged
    assert arrangement is not None
    (event,) = queue_events(given_up, arrangement)
    assert (event.type, event.reason) == ("Warning", "QueueAbandoned")
    text = event.message
    assert "(1 queued)" in text
    assert price in text
    events = plan_push_domain(given_up).events
    assert [event.message for event in events if event.reason == "QueueAbandoned"] == [text]
    assert found(given_up).get(ConditionType.QUEUE_SETTLED, None) is None or (
        found(given_up)[ConditionType.QUEUE_SETTLED].status == "True"
    )


def test_a_queue_that_drains_does_not_make_the_push_domain_unready() -> None:
    seen = leaving(pod("alerts-0", queue="Claim", queued=3))
    status = plan_push_domain(seen).status
    assert status is not None
    found_of = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    assert found_of["Ready"] == ("True", "Ready")
    assert found_of["QueueSettled"] == ("False", "QueueDraining")


def left_behind(*claims_there: Child, drains: tuple[Pod, ...] = (), **claim_spec: str) -> PushDomainSnapshot:
    """One replica on its claim, and other claims."""
    spec = {"queue": {"disk": {"claim": {**CLAIM["queue"]["disk"]["claim"], **claim_spec}}}}
    seen = claims(settled(CLAIM, spec, pods=(pod("alerts-0", queue="Claim", retiring=False),)), *claims_there)
    asked = {PodMetrics(OWNER, one.meta.uid, one.url) for one in drains if one.url}
    return replace(seen, drains=drains, read=seen.read | asked)


def test_claims_that_are_drained_are_named_and_told_once() -> None:
    seen = left_behind(claim(0), claim(1), claim(2), drains=(drain_pod(2, queued=17),))
    condition = found(seen)[ConditionType.QUEUE_SETTLED]
    assert (condition.status, condition.reason) == ("False", Reason.CLAIM_DRAINING)
    assert "PersistentVolumeClaim queue-alerts-1 (its drain pod is not there yet)" in condition.message
    assert "PersistentVolumeClaim queue-alerts-2 (17 queued)" in condition.message
    assert f"{Names.ABANDON_ANNOTATION}={seen.generation} (claims are left alone" in condition.message
    events = [event for event in plan_push_domain(seen).events if event.reason == "ClaimAdopted"]
    assert ["queue-alerts-1" in event.message for event in events] == [True, False]
    deployment = replace(claim(1).meta, key=Key("Deployment", "default", "alerts-drain-1"))
    started = claims(seen, Child(deployment, None))
    arrangement = arranged(started).arranged
    assert arrangement is not None
    assert ["queue-alerts-2" in event.message for event in queue_events(started, arrangement)] == [True]


def test_claims_that_are_empty_are_told_and_then_all_is_settled() -> None:
    seen = left_behind(claim(0), claim(1), drains=(drain_pod(1),), whenScaled="Delete")
    plan = plan_push_domain(seen)
    assert plan.marks == (Mark(claim(1).meta.key, drained=True),)
    assert [event.reason for event in plan.events if event.reason.startswith("Claim")] == ["ClaimDrained"]
    assert found(seen)[ConditionType.QUEUE_SETTLED].status == "True"
    gone = plan_push_domain(left_behind(claim(0), drained_claim(1), whenScaled="Delete"))
    assert [meta.key for meta in gone.delete] == [claim(1).meta.key]
    assert [event.reason for event in gone.events if event.reason.startswith("Claim")] == ["ClaimDeleted"]
    kept = plan_push_domain(left_behind(claim(0), drained_claim(1)))
    assert (kept.delete, kept.marks) == ((), ())


def test_claims_that_nobody_empties_are_told_with_a_remedy() -> None:
    owned = claim(2)
    theirs = Child(replace(owned.meta, owner="x", owner_name="Backup/x"), owned.body)
    seen = left_behind(claim(0), claim(1, "Lost"), theirs)
    condition = found(seen)[ConditionType.QUEUE_SETTLED]
    assert (condition.status, condition.reason) == ("False", Reason.CLAIM_LEFT)
    assert "queue-alerts-1 (its volume is gone)" in condition.message
    assert "queue-alerts-2 (somebody else owns it, and it is left alone)" in condition.message
    assert "Remedy" in condition.message
    many = left_behind(*(claim(number) for number in range(9)))
    assert ", and 3 more." in found(many)[ConditionType.QUEUE_SETTLED].message


def test_claims_that_are_given_up_are_named_though_all_is_settled() -> None:
    seen = left_behind(claim(0), claim(1))
    annotations = {Names.ABANDON_ANNOTATION: str(seen.generation)}
    metadata = {**seen.document["metadata"], "annotations": annotations}
    given_up = replace(seen, document={**seen.document, "metadata": metadata})
    condition = found(given_up)[ConditionType.QUEUE_SETTLED]
    assert condition.status == "True"
    assert "what is on PersistentVolumeClaim queue-alerts-1 is left alone" in condition.message


def test_a_stream_outlives_pods_and_on_one_server_not_that() -> None:
    durable = found(settled(STREAM))[ConditionType.QUEUE_DURABLE]
    assert (durable.status, durable.reason) == ("True", Reason.PERSISTENT)
    assert "stream TUBEPOST_DEFAULT_ALERTS of nats://nats:4222, on 3 servers" in durable.message
    alone = {"queue": {"jetStream": {"servers": ["nats://nats:4222"], "replicas": 1}}}
    durable = found(settled(STREAM, alone))[ConditionType.QUEUE_DURABLE]
    assert (durable.status, durable.reason) == ("False", Reason.ONE_REPLICA)
    assert "Remedy: set queue.jetStream.replicas: 3" in durable.message


@pytest.mark.parametrize(
    ("states", "reason", "word"),
    [
        (("foreign_stream",), Reason.STREAM_UNUSABLE, "not what Tubepost makes"),
        (("old_server", "one_replica"), Reason.STREAM_UNUSABLE, "before nats-server 2.12"),
        (("unreachable",), Reason.STREAM_UNUSABLE, "cannot be reached by some pods"),
        (("unusable",), Reason.STREAM_UNUSABLE, "see their logs"),
        (("memory_storage", "one_replica"), Reason.IN_MEMORY, "in the memory of its servers"),
        (("one_replica",), Reason.ONE_REPLICA, "on one server alone"),
    ],
)
def test_what_pods_find_of_a_stream_is_told(states: tuple[str, ...], reason: Reason, word: str) -> None:
    seen = settled(STREAM)
    durable = found(replace(seen, live=LiveStatus(seen.now, stream=states)))[ConditionType.QUEUE_DURABLE]
    assert (durable.status, durable.reason) == ("False", reason)
    assert word in durable.message
    assert "Remedy: " in durable.message
