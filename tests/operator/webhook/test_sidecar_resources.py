from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_operator.quantities import amount
from tubepost_operator.webhook.sidecar_resources import (
    RESOURCES,
    annotation,
    beyond,
    sidecar_resources,
)

PUBLISHED = {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
CPU_LIMIT = "tubepost.io/sidecar-cpu-limit"
CPU_REQUEST = "tubepost.io/sidecar-cpu-request"


def test_the_names_of_the_annotations() -> None:
    assert [annotation(resource, kind) for resource in RESOURCES for kind in ("requests", "limits")] == [
        "tubepost.io/sidecar-cpu-request",
        "tubepost.io/sidecar-cpu-limit",
        "tubepost.io/sidecar-memory-request",
        "tubepost.io/sidecar-memory-limit",
        "tubepost.io/sidecar-ephemeral-storage-request",
        "tubepost.io/sidecar-ephemeral-storage-limit",
    ]


def test_the_pod_comes_before_its_namespace_and_that_before_the_push_domain() -> None:
    found, warnings = sidecar_resources(
        PUBLISHED, {CPU_LIMIT: "700m", CPU_REQUEST: "200m"}, {CPU_LIMIT: "300m", "other": "x"}
    )
    assert found["limits"] == {"cpu": "300m", "memory": "512Mi"}
    assert found["requests"] == {"cpu": "200m", "memory": "192Mi"}
    assert warnings == ()


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "1 Gi", "1_0", "nan", "1e400000"])
def test_what_is_no_quantity_is_passed_over_with_a_warning(text: str) -> None:
    found, (warning,) = sidecar_resources(PUBLISHED, {CPU_LIMIT: "700m"}, {CPU_LIMIT: text})
    assert found["limits"]["cpu"] == "700m"
    assert CPU_LIMIT in warning
    assert "the pod" in warning
    assert "Remedy: " in warning


def test_a_limit_below_the_request_takes_that_along_and_the_reverse() -> None:
    found, warnings = sidecar_resources(PUBLISHED, {}, {CPU_LIMIT: "50m"})
    assert (found["requests"]["cpu"], found["limits"]["cpu"], warnings) == ("50m", "50m", ())
    found, warnings = sidecar_resources(PUBLISHED, {}, {CPU_REQUEST: "2"})
    assert (found["requests"]["cpu"], found["limits"]["cpu"], warnings) == ("2", "2", ())


def test_a_request_above_a_limit_that_is_asked_for_is_said() -> None:
    found, (warning,) = sidecar_resources(PUBLISHED, {CPU_REQUEST: "2"}, {CPU_LIMIT: "1500m"})
    assert (found["requests"]["cpu"], found["limits"]["cpu"]) == ("1500m", "1500m")
    assert CPU_REQUEST in warning


def test_a_resource_that_the_push_domain_does_not_name_may_be_added() -> None:
    found, _ = sidecar_resources({}, {}, {"tubepost.io/sidecar-ephemeral-storage-limit": "1Gi"})
    assert found == {"limits": {"ephemeral-storage": "1Gi"}}


QUANTITIES = st.one_of(
    st.text(max_size=6),
    st.builds(
        lambda n, unit: f"{n}{unit}", st.integers(0, 3000), st.sampled_from(["", "m", "Mi", "k", "Gi"])
    ),
)
SAID = st.dictionaries(
    st.sampled_from([annotation(resource, kind) for resource in RESOURCES for kind in PUBLISHED]), QUANTITIES
)


@given(of_namespace=SAID, of_pod=SAID)
def test_whatever_is_said_the_container_is_valid(
    of_namespace: dict[str, str], of_pod: dict[str, str]
) -> None:
    found, _ = sidecar_resources(PUBLISHED, of_namespace, of_pod)
    for resource, text in found["requests"].items():
        assert (amount(text) or 0) > 0
        limit = found["limits"].get(resource)
        assert limit is None or (amount(limit) or 0) >= (amount(text) or 0)


def limit_range(kind: str = "Container", **bounds: Any) -> dict[str, Any]:
    return {"metadata": {"name": "small"}, "spec": {"limits": [{"type": kind, **bounds}]}}


@pytest.mark.parametrize(
    ("bounds", "name"),
    [
        ({"max": {"cpu": "500m"}}, CPU_LIMIT),
        ({"max": {"memory": "256Mi"}}, "tubepost.io/sidecar-memory-limit"),
        ({"min": {"cpu": "200m"}}, CPU_REQUEST),
        ({"min": {"cpu": "2"}}, CPU_LIMIT),
        ({"maxLimitRequestRatio": {"cpu": "4"}}, CPU_REQUEST),
    ],
)
def test_a_container_that_a_limit_range_does_not_allow(bounds: dict[str, Any], name: str) -> None:
    said = beyond(PUBLISHED, {"containers": []}, [limit_range(**bounds)])
    assert said is not None
    assert "LimitRange small" in said
    assert f"annotation {name} " in said
    assert "spec.podTemplate.resources." in said


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"max": {"cpu": "1", "memory": "512Mi"}},
        {"min": {"cpu": "0.1", "memory": "192Mi"}},
        {"max": {"ephemeral-storage": "1Gi"}},
        {"maxLimitRequestRatio": {"cpu": "10", "ephemeral-storage": "1"}},
        {"default": {"cpu": "10m"}},
    ],
)
def test_a_container_that_it_allows(bounds: dict[str, Any]) -> None:
    assert beyond(PUBLISHED, {"containers": []}, [limit_range(**bounds)]) is None


def test_no_limit_range_and_one_of_claims() -> None:
    assert beyond(PUBLISHED, {}, []) is None
    claims = limit_range("PersistentVolumeClaim", max={"storage": "1Gi"})
    assert beyond(PUBLISHED, {}, [claims, {"metadata": {"name": "empty"}}]) is None


def box(cpu: str | None, **fields: Any) -> dict[str, Any]:
    return {"name": "app", "resources": {"limits": {"cpu": cpu}} if cpu else {}, **fields}


@pytest.mark.parametrize(
    ("containers", "most", "refused"),
    [
        ([box("500m")], "1500m", False),
        ([box("501m")], "1500m", True),
        ([box(None)], "1", False),
        ([box("2")], "1500m", False),  # the pod is beyond it without us: that is for the API server to say
    ],
)
def test_a_pod_that_is_beyond_a_limit_range_with_its_sidecar(
    containers: list[dict[str, Any]], most: str, refused: bool
) -> None:
    said = beyond(PUBLISHED, {"containers": containers}, [limit_range("Pod", max={"cpu": most})])
    assert (said is not None) is refused
    assert said is None or CPU_LIMIT in said


def test_of_a_pods_init_containers_those_count_that_stay() -> None:
    ends, stays = box("1"), box("1", restartPolicy="Always")
    small = limit_range("Pod", max={"cpu": "1500m"})
    assert beyond(PUBLISHED, {"containers": [], "initContainers": [ends]}, [small]) is None
    assert beyond(PUBLISHED, {"containers": [], "initContainers": [stays]}, [small]) is not None
