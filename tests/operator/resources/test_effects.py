"""Every field of a PushDomain that is the operator's own has an effect on what the operator writes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.api.test_effects import paths
from tests.operator.resources.sources import served, source, templated
from tubepost_api.pushdomain import PushDomain
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.deployment import deployment
from tubepost_operator.resources.service import service

BASE: dict[str, Any] = {
    "tolerations": ({"key": "a"},),
    "caBundle": {"configMapName": "authorities"},
    "security": {"runAsUser": 5, "runAsGroup": 5, "fsGroup": 5},
}
OTHER: dict[str, object] = {
    "image": "registry.example/other:1",
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "resources.requests.cpu": "150m",
    "resources.requests.memory": "200Mi",
    "resources.limits.cpu": "3",
    "resources.limits.memory": "700Mi",
    "resources.requests.ephemeral-storage": "1Gi",
    "resources.limits.ephemeral-storage": "2Gi",
    "caBundle.configMapName": "other",
    "caBundle.key": "other.pem",
    "nodeSelector": {"a": "b"},
    "tolerations[].key": "b",
    "tolerations[].operator": "Exists",
    "tolerations[].value": "b",
    "tolerations[].effect": "NoExecute",
    "tolerations[].tolerationSeconds": 7,
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": ({"maxSkew": 2},),
    "priorityClassName": "b",
    "imagePullSecrets": ("b",),
    "security.runAsUser": 7,
    "security.runAsGroup": 7,
    "security.fsGroup": 7,
    "terminationGracePeriodSeconds": 77,
}
"""Another value than BASE has, for each field of podTemplate."""
SERVICE: dict[str, object] = {
    "type": "NodePort",
    "port": 7,
    "nodePort": 30025,
    "annotations": {"a": "b"},
    "externalTrafficPolicy": "Local",
    "internalTrafficPolicy": "Local",
    "loadBalancerClass": "service.k8s.aws/nlb",
    "loadBalancerSourceRanges": ("192.0.2.0/24",),
    "ipFamilyPolicy": "PreferDualStack",
    "ipFamilies": ("IPv6",),
    "sessionAffinity": "ClientIP",
    "sessionAffinityTimeoutSeconds": 600,
}


def pods(template: dict[str, Any]) -> Document:
    """The pods of a template, without the hashes of the template itself."""
    found = copy.deepcopy(deployment(templated(**template))["spec"]["template"])
    del found["metadata"]["annotations"][Names.ROLL_ANNOTATION]
    result: Document = found
    return result


def test_every_field_is_looked_at() -> None:
    own = {path for path in paths(PushDomain) if path.startswith(("podTemplate.", "service."))}
    assert own == {f"podTemplate.{path}" for path in OTHER} | {f"service.{path}" for path in SERVICE}


@pytest.mark.parametrize("path", OTHER)
def test_every_field_of_the_pod_template_changes_the_pods(path: str) -> None:
    template = copy.deepcopy(BASE)
    place: Any = template
    *steps, last = path.split(".")
    for step in steps:
        place = place[step.removesuffix("[]")][0] if step.endswith("[]") else place.setdefault(step, {})
    place[last] = OTHER[path]
    assert pods(template) != pods(BASE)


@pytest.mark.parametrize("name", ["cpu", "memory"])
def test_a_request_and_a_limit_each_stay_what_they_are(name: str) -> None:
    default = deployment(source())["spec"]["template"]["spec"]["containers"][0]["resources"]
    request = {"cpu": "150m", "memory": "200Mi"}[name]
    given = pods({"resources": {"requests": {name: request}}})["spec"]["containers"][0]["resources"]
    assert given["requests"] == {**default["requests"], name: request}
    assert given["limits"] == default["limits"]


@pytest.mark.parametrize("field", SERVICE)
def test_every_field_of_the_service_changes_it(field: str) -> None:
    assert service(served(**{field: SERVICE[field]})) != service(served())


def test_replicas_are_the_deployments() -> None:
    given = source()
    more = replace(given, replicas=None, spec=given.spec.model_copy(update={"replicas": 7}))
    assert deployment(more)["spec"]["replicas"] == 7
    assert deployment(replace(more, replicas=8))["spec"]["replicas"] == 8
