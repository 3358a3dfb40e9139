from __future__ import annotations

from dataclasses import replace

from tests.operator.resources.sources import source
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.deployment import deployment
from tubepost_operator.resources.queue import DIRECTORY, ClaimTemplate, QueueVolume
from tubepost_operator.resources.statefulset import selector, stateful_set


def on_claim(retention: str = "Retain") -> Source:
    kept = "Delete" if retention == "Delete" else "Retain"
    template = ClaimTemplate("2Gi", "fast", ("ReadWriteOnce",), kept)
    return replace(source(), queue=QueueVolume.CLAIM, claim=template)


def spec(given: Source) -> Document:
    result: Document = stateful_set(given)["spec"]
    return result


def test_pods_start_side_by_side_and_are_replaced_one_by_one() -> None:
    made = spec(on_claim())
    assert (made["podManagementPolicy"], made["updateStrategy"]) == ("Parallel", {"type": "RollingUpdate"})
    assert made["serviceName"] == "alerts"
    assert spec(replace(on_claim(), replicas=5))["replicas"] == 5


def test_its_pods_are_its_own_and_those_of_the_service_as_well() -> None:
    made = spec(on_claim())
    labels = made["template"]["metadata"]["labels"]
    assert made["selector"]["matchLabels"] == selector("alerts")
    assert selector("alerts").items() <= labels.items()
    assert Names.pod_selector("alerts").items() < selector("alerts").items()
    assert Names.WORKLOAD_LABEL not in deployment(source())["spec"]["template"]["metadata"]["labels"]


def test_each_pod_has_its_claim_and_any_user_writes_to_it() -> None:
    made = spec(on_claim())
    (template,) = made["volumeClaimTemplates"]
    assert template["metadata"]["name"] == Names.QUEUE_VOLUME
    assert Names.CHILD_SELECTOR.split(",")[0].split("=")[0] in template["metadata"]["labels"]
    pods = made["template"]["spec"]
    assert pods["securityContext"]["fsGroup"]
    assert "queue" not in [volume["name"] for volume in pods["volumes"]]
    mounts = {mount["name"]: mount["mountPath"] for mount in pods["containers"][0]["volumeMounts"]}
    assert mounts["queue"] == DIRECTORY
    assert pods["containers"][0]["env"]


def test_retention_is_that_of_the_spec_and_no_claim_goes_because_of_fewer_replicas() -> None:
    for retention in ("Retain", "Delete"):
        policy = spec(on_claim(retention))["persistentVolumeClaimRetentionPolicy"]
        assert policy == {"whenDeleted": retention, "whenScaled": "Retain"}
