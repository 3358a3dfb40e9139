from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.operator.plan.test_needs import pod
from tubepost_operator.plan.causes import causes


def workload(kind: str = "ReplicaFailure", status: str = "True", **condition: Any) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status, **condition}]}}


QUOTA = 'pods "alerts-5d8f-x7k2p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0'


def test_pods_that_the_api_server_refuses() -> None:
    text = causes(workload(reason="FailedCreate", message=QUOTA), ())
    assert text == (
        "The API server refuses the pods: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0. "
        "Remedy: raise the ResourceQuota that it names, or lower spec.replicas or spec.podTemplate.resources of "
        "the PushDomain."
    )
    other = QUOTA.replace("x7k2p", "9rt4q")
    assert causes(workload(reason="FailedCreate", message=other), ()) == text, (
        "every attempt has another name"
    )


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        workload("Available", reason="MinimumReplicasAvailable", message="all is well"),
        workload("ReplicaFailure", "False", reason="FailedCreate", message=QUOTA),
        workload("Progressing", "False", reason="ProgressDeadlineExceeded", message="it takes long"),
    ],
)
def test_what_is_no_cause(found: dict[str, Any] | None) -> None:
    assert causes(found, (pod(),)) == ""


def test_a_set_of_pods_that_cannot_be_made() -> None:
    found = workload(
        "Progressing", "False", reason="ReplicaSetCreateError", message="admission webhook x denied it"
    )
    assert "admission webhook x denied it. Remedy: change the field" in causes(found, ())


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        ("ErrImagePull registry/x:1: not found", "see that the image exists under this name"),
        ("ErrImageNeverPull: not present", "load the image onto the nodes"),
        ("Unschedulable: 0/3 nodes are available", "make room in the cluster"),
        ("CrashLoopBackOff, exit code 137 (OOMKilled)", "raise spec.podTemplate.resources.limits.memory"),
        ("CrashLoopBackOff, exit code 1: no such option", "kubectl logs --previous"),
        ("CreateContainerConfigError: configmap not found", "the objects that the pod mounts"),
        ("Evicted: the node was low on memory", "give the node room"),
        ("SomethingNew: whatever", "kubectl describe pods"),
    ],
)
def test_what_keeps_a_pod_from_running_has_a_remedy(trouble: str, remedy: str) -> None:
    text = causes(None, (pod(trouble=trouble, ready=False),))
    assert text.startswith(f"{trouble}. Remedy: ")
    assert remedy in text


def test_pods_of_a_stateful_set_are_refused_in_an_event() -> None:
    event = f"FailedCreate: create Pod alerts-0 in StatefulSet alerts failed error: {QUOTA}"
    text = causes({}, (), event)
    assert text.startswith("The API server refuses the pods: exceeded quota: small")
    assert "Remedy: raise the ResourceQuota" in text
    assert causes({}, (), "SuccessfulCreate: create Pod alerts-0 in StatefulSet alerts successful") == ""
    assert causes({}, (), "") == ""


def test_alike_causes_are_told_once_and_not_those_of_others() -> None:
    one = pod(trouble="ErrImagePull x", ready=False)
    leaving = replace(pod(trouble="exit code 1", ready=False), meta=replace(one.meta, deleting=True))
    sidecar = replace(pod(trouble="exit code 2", ready=False), sidecar=True)
    assert causes(None, (one, one, leaving, sidecar)).count("Remedy") == 1
    many = [pod(trouble=f"ErrImagePull {number}", ready=False) for number in range(9)]
    assert causes(None, many).count("Remedy") == 3
