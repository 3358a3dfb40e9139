from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.plan.moving import CLAIM, DIRECT, EMPTY_DIR, arranged, joined, pod, settled, wanting
from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.conditions import REASONS, PlannedCondition
from tubepost_operator.names import Names
from tubepost_operator.observed import Pod
from tubepost_operator.plan.push_domain import plan_push_domain
from tubepost_operator.plan.queue_conditions import abandoned, queue_conditions
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
    ],
)
def test_giving_up_has_its_price(seen: PushDomainSnapshot, price: str) -> None:
    assert f"({price}" in found(seen)[ConditionType.QUEUE_SETTLED].message
    arrangement = arranged(seen).arranged
    assert arrangement is not None
    assert abandoned(arrangement) is None
    annotations = {Names.ABANDON_ANNOTATION: str(seen.generation)}
    metadata = {**seen.document["metadata"], "annotations": annotations}
    given_up = replace(seen, document={**seen.document, "metadata": metadata})
    arrangement = arranged(given_up).arranged
    assert arrangement is not None
    text = abandoned(arrangement)
    assert text is not None
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
