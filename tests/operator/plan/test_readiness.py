from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.cases import applied, snapshot
from tests.operator.plan import moving
from tests.operator.plan.test_needs import pod, running
from tubepost_api.conditions import ConditionType, Reason
from tubepost_operator.conditions import PlannedCondition, bad, good
from tubepost_operator.observed import Key, PodReport
from tubepost_operator.plan.children import ChildrenPlan
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.plan.readiness import programmed, ready
from tubepost_operator.snapshot import PushDomainSnapshot

SERVICE = Key("Service", "default", "alerts")


def of_programmed(seen: PushDomainSnapshot, children: ChildrenPlan | None = None) -> PlannedCondition:
    decision = decide(seen)
    return programmed(seen, decision.selection, children or ChildrenPlan(), decision.digest, decision.kind)


def test_conflicts_and_rejections_come_first() -> None:
    conflict = of_programmed(running(), ChildrenPlan(conflicts=[SERVICE]))
    assert (conflict.reason, "Service default/alerts" in conflict.message) == (Reason.NAME_CONFLICT, True)
    rejected = of_programmed(replace(running(), rejected={SERVICE: "spec.type: invalid."}))
    assert rejected.reason is Reason.REJECTED
    assert "Service default/alerts: spec.type: invalid. Remedy: " in rejected.message


def test_without_a_valid_configuration_nothing_is_deployed_or_the_last_one_stays() -> None:
    first = of_programmed(replace(snapshot("first-publish"), routes={}))
    assert (first.status, first.reason) == ("False", Reason.PENDING)
    assert "nothing is deployed" in first.message
    later = of_programmed(replace(running(), routes={}))
    assert later.message.startswith("The configuration of generation 1, the last valid one, stays in force.")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"observedGeneration": 0}, "has not started yet"),
        ({"updatedReplicas": 0}, "0 of 1 replicas run the new template."),
        ({"replicas": 2}, "1 replica of the previous template is still running."),
    ],
)
def test_a_rollout_is_told_by_its_numbers(status: dict[str, int], text: str) -> None:
    before = snapshot("first-publish")
    seen = replace(before, children=applied(before, status))  # type: ignore[arg-type]  # a part of a status
    found = of_programmed(seen)
    assert (found.status, found.reason) == ("False", Reason.PENDING)
    assert text in found.message
    if "observedGeneration" not in status:
        failing = of_programmed(replace(seen, pods=(pod(trouble="ErrImagePull: x:1", ready=False),)))
        assert failing.reason is Reason.PODS_FAIL
        assert failing.message.startswith(f"{text} ErrImagePull: x:1. Remedy: see that the image exists")


def test_pods_confirm_the_configuration() -> None:
    digest = decide(running()).digest
    for pods, status, reason, text in (
        ((), "True", Reason.PROGRAMMED, "is published."),
        ((pod(last_report=PodReport()),), "True", Reason.PROGRAMMED, "no pod answers"),
        ((pod(last_report=PodReport(digest)),), "True", Reason.PROGRAMMED, "runs."),
        ((pod(last_report=PodReport("another")),), "False", Reason.PENDING, "0 of 1 pods run"),
        (
            (pod(last_report=PodReport("another", refused=True, refused_digest=digest)),),
            "False",
            Reason.CONFIG_REFUSED,
            "alerts-1 refuse",
        ),
        (
            (pod(last_report=PodReport("another", refused=True, refused_digest="older")),),
            "False",
            Reason.PENDING,
            "0 of 1 pods run",
        ),
    ):
        found = of_programmed(running(*pods))
        assert (found.status, found.reason) == (status, reason)
        assert text in found.message


def test_ready_is_the_first_fault_or_the_replicas() -> None:
    fine = [good(ConditionType.ACCEPTED, Reason.VALID)]
    fault = bad(ConditionType.ACCEPTED, Reason.INVALID_SPEC, "text")
    found = ready(running(), [*fine, fault], 1, "Deployment")
    assert (found.status, found.reason, found.message) == ("False", Reason.INVALID_SPEC, "text")
    assert ready(running(), fine, 0, "Deployment").reason is Reason.NO_REPLICAS
    assert ready(running(), fine, 1, "Deployment").message == "1 of 1 replicas are ready."
    assert ready(running(available=0), fine, 1, "Deployment").reason is Reason.PENDING
    before = snapshot("first-publish")
    stuck = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}
    children = applied(before, {"availableReplicas": 0, "conditions": [stuck]})
    stuck_for_good = replace(before, children=children)
    assert ready(stuck_for_good, fine, 1, "Deployment").reason is Reason.UNAVAILABLE
    crashing = replace(stuck_for_good, pods=(pod(trouble="exit code 1: no such file", ready=False),))
    found = ready(crashing, fine, 1, "Deployment")
    assert found.reason is Reason.PODS_FAIL
    assert "exit code 1: no such file. Remedy: read the log" in found.message


def test_a_claim_without_a_volume_is_the_reason_with_its_remedy() -> None:
    pending = moving.claims(moving.settled(moving.CLAIM), moving.claim(0, "Pending"))
    seen = moving.available(pending, "StatefulSet", 0)
    found = ready(seen, [good(ConditionType.ACCEPTED, Reason.VALID)], 1, "StatefulSet")
    assert (found.status, found.reason) == ("False", Reason.CLAIM_PENDING)
    assert "PersistentVolumeClaim default/queue-alerts-0 (2Gi, StorageClass fast) is Pending" in found.message
    assert "Remedy: `kubectl --namespace default describe pvc`" in found.message
    bound = moving.available(moving.claims(moving.settled(moving.CLAIM), moving.claim(0)), "StatefulSet", 0)
    assert ready(bound, [], 1, "StatefulSet").reason is Reason.PENDING
    failing = replace(bound, pods=(pod(trouble="CrashLoopBackOff, exit code 1", ready=False),))
    assert ready(failing, [], 1, "StatefulSet").reason is Reason.PODS_FAIL


def test_pods_of_the_old_workload_do_not_confirm_nor_hold_up() -> None:
    old = moving.pod("alerts-0", queue="Claim", queued=3, digest="another", ready=True)
    both = moving.joined(moving.settled(moving.CLAIM, pods=(old,)), moving.settled(moving.DIRECT))
    seen = moving.wanting(both, moving.DIRECT)
    assert of_programmed(seen).message.endswith("is published.")
    assert not decide(seen).awaited(seen.pods)


def test_a_stateful_set_that_is_made_is_said_to_be() -> None:
    begun = moving.wanting(moving.settled(moving.DIRECT), moving.CLAIM)
    assert of_programmed(begun).message == "The StatefulSet is being applied."


def test_the_old_workload_stays_until_the_new_one_is_complete() -> None:
    both = moving.joined(moving.settled(moving.DIRECT), moving.settled(moving.CLAIM, replicas=2))
    seen = moving.wanting(moving.available(both, "StatefulSet", 1), moving.CLAIM, replicas=2)
    found = of_programmed(seen)
    assert (found.status, found.reason) == ("False", Reason.PENDING)
    assert (
        found.message == "The Deployment stays until all replicas of the StatefulSet are ready, 1 of 2 are."
    )
    pending = moving.claims(seen, moving.claim(1, "Pending"))
    assert of_programmed(pending).reason is Reason.CLAIM_PENDING
    alone = moving.available(moving.settled(moving.CLAIM, replicas=2), "StatefulSet", 1)
    some = ready(moving.claims(alone, moving.claim(1, "Pending")), [], 2, "StatefulSet")
    assert some.status == "True"
    assert some.message.startswith("1 of 2 replicas are ready. Without a volume: PersistentVolumeClaim ")
