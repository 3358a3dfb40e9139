"""Where clusters differ: IP families, registries, user ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import Document, render
from tests.chart.value_sets import EVERYTHING_ON

DIGESTS = {
    name: f"sha256:{number:064x}" for number, name in enumerate(("operator", "dispatcher", "simulator"))
}


def everything(**values: Any) -> dict[str, Any]:
    merged = {**EVERYTHING_ON, **values}
    for name in ("operator", "simulator"):
        merged[name] = {**EVERYTHING_ON[name], **values.get(name, {})}
    return merged


def pods(values: dict[str, Any]) -> dict[str, Document]:
    """The specs of all pods: operator, simulator, and the test's."""
    objects = render(values)
    found = {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in objects.of("Deployment")}
    found |= {item["metadata"]["name"]: item["spec"] for item in objects.of("Pod")}
    assert len(found) == 3
    return found


def arguments(spec: Document) -> list[str]:
    return [argument for box in spec["containers"] for argument in box.get("args", ())]


def test_the_simulator_listens_on_both_families() -> None:
    assert "--host=::" in arguments(pods(everything())["tubepost-simulator"])


@pytest.mark.parametrize(
    "families",
    [{"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}, {"ipFamilyPolicy": "PreferDualStack"}],
)
def test_every_service_has_the_families_that_it_is_told(families: dict[str, Any]) -> None:
    services = render(everything(operator={"service": families}, simulator={"service": families})).of(
        "Service"
    )
    assert len(services) == 3
    for service in services:
        told = {key: value for key, value in service["spec"].items() if key.startswith("ipFamil")}
        assert told == families, service["metadata"]["name"]


def test_images_by_digest_out_of_one_registry() -> None:
    images = {name: {"digest": digest} for name, digest in DIGESTS.items()}
    found = pods(
        everything(
            **{"global": {"imageRegistry": "registry.example"}},
            image=images["operator"],
            dispatcher={"image": images["dispatcher"]},
            simulator={"image": images["simulator"]},
        )
    )
    whole = {name: f"registry.example/tubepost/{name}@{digest}" for name, digest in DIGESTS.items()}
    used = {box["image"] for spec in found.values() for box in spec["containers"]}
    assert used == set(whole.values())
    assert f"--dispatcher-image={whole['dispatcher']}" in arguments(found["tubepost"])


def test_all_pods_pull_with_the_same_secrets() -> None:
    values = everything(
        imagePullSecrets=[{"name": "one"}], **{"global": {"imagePullSecrets": [{"name": "two"}]}}
    )
    found = pods(values)
    for name, spec in found.items():
        assert {item["name"] for item in spec["imagePullSecrets"]} == {"one", "two"}, name
    assert {"--image-pull-secret=one", "--image-pull-secret=two"} <= set(arguments(found["tubepost"]))


def test_no_user_and_no_group_is_named() -> None:
    for name, spec in pods(everything()).items():
        for context in (
            spec.get("securityContext", {}),
            *(box.get("securityContext", {}) for box in spec["containers"]),
        ):
            assert not context.keys() & {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}, name


def test_security_contexts_that_are_null_are_left_out() -> None:
    none = {"podSecurityContext": None, "securityContext": None}
    for name, spec in pods(everything(operator=none, simulator=none, tests=none)).items():
        assert "securityContext" not in spec, name
        assert all("securityContext" not in box for box in spec["containers"]), name
