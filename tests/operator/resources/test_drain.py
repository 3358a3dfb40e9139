from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.operator.resources.sources import source, templated
from tubepost_operator.names import Names
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.deployment import deployment
from tubepost_operator.resources.drain import drain, labels_of, selector
from tubepost_operator.resources.queue import DIRECTORY, ORDINAL_VARIABLE, QueueVolume
from tubepost_operator.resources.statefulset import selector as of_stateful_set


def draining(given: Source | None = None) -> Source:
    return replace(given or source(), queue=QueueVolume.CLAIM, drains=2)


def pods(given: Source | None = None) -> dict[str, Any]:
    found: dict[str, Any] = drain(draining(given))["spec"]["template"]
    return found


def test_it_mounts_the_claim_and_stands_in_for_its_pod() -> None:
    spec = pods()["spec"]
    assert {"name": "queue", "persistentVolumeClaim": {"claimName": "queue-alerts-2"}} in spec["volumes"]
    (box,) = spec["containers"]
    assert {"name": "queue", "mountPath": DIRECTORY} in box["volumeMounts"]
    assert {"name": ORDINAL_VARIABLE, "value": "2"} in box["env"]
    place = box["args"].index("--workload")
    assert box["args"][place : place + 4] == [
        "--workload",
        "StatefulSet",
        "--ordinal",
        f"$({ORDINAL_VARIABLE})",
    ]
    assert spec["securityContext"]["fsGroup"]


def test_two_never_have_the_claim() -> None:
    made = drain(draining())
    assert made["metadata"]["name"] == "alerts-drain-2"
    assert (made["spec"]["replicas"], made["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_it_is_selected_by_nothing_else_and_seen_by_the_operator() -> None:
    labels = pods()["metadata"]["labels"]
    assert selector("alerts", 2).items() <= labels.items()
    assert not Names.pod_selector("alerts").items() <= labels.items()
    assert not of_stateful_set("alerts").items() <= labels.items()
    assert not selector("alerts", 3).items() <= labels.items()
    assert labels.items() >= labels_of("alerts", 2).items()
    for part in Names.CHILD_SELECTOR.split(","):
        key, _, value = part.partition("=")
        assert labels[key] == value
    assert (
        not selector("alerts", 2).items()
        <= deployment(source())["spec"]["template"]["metadata"]["labels"].items()
    )
    given = templated(labels={"team": "push", Names.INSTANCE_LABEL: "alerts"})
    labels = pods(given)["metadata"]["labels"]
    assert labels["team"] == "push"
    assert Names.INSTANCE_LABEL not in labels


def test_it_goes_where_its_volume_is() -> None:
    assert "topologySpreadConstraints" not in pods()["spec"]
    apart = {"requiredDuringSchedulingIgnoredDuringExecution": []}
    given = templated(affinity={"podAntiAffinity": apart, "nodeAffinity": apart}, nodeSelector={"a": "b"})
    spec = pods(given)["spec"]
    assert (spec["affinity"], spec["nodeSelector"]) == ({"nodeAffinity": apart}, {"a": "b"})
    assert "affinity" not in pods(templated(affinity={"podAntiAffinity": apart}))["spec"]
