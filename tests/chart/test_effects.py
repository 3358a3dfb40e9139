"""Every value has an effect: none is accepted and ignored."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.chart.helm import Objects, refused, render, sub_chart
from tests.chart.test_values import SCHEMA, VALUES, paths
from tests.chart.value_sets import EVERYTHING_ON

TEXTS = {"a.example/b": "c"}
IMAGE = {
    "registry": "registry.example",
    "repository": "other/one",
    "tag": "other",
    "digest": "sha256:" + "0" * 64,
    "pullPolicy": "Always",
}
PLACEMENT: dict[str, Any] = {
    "nodeSelector": TEXTS,
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "other",
}
SECURITY = {"podSecurityContext": {"runAsUser": 7}, "securityContext": {"privileged": True}}
RESOURCES = {"limits": {"cpu": "7"}}
OTHER: dict[str, Any] = {
    "nameOverride": "other",
    "fullnameOverride": "other",
    "namespaceOverride": "other",
    "commonLabels": TEXTS,
    "commonAnnotations": TEXTS,
    "imagePullSecrets": [{"name": "other"}],
    "clusterDomain": "other.example",
    "image": IMAGE,
    "dispatcher": {"image": IMAGE, "podTemplate": {"nodeSelector": TEXTS}, "claimGroup": 7},
    "crds": {"enabled": True, "keep": False, "annotations": TEXTS},
    "watch": {"namespaces": ["other"]},
    "operator": {
        **PLACEMENT,
        **SECURITY,
        "replicas": 7,
        "revisionHistoryLimit": 7,
        "updateStrategy": {"type": "Recreate"},
        "logLevel": "Debug",
        "logFormat": "text",
        "concurrency": 7,
        "resyncSeconds": 77,
        "upgradesAtATime": 7,
        "leaderElection": {"leaseDurationSeconds": 77, "renewSeconds": 1.5},
        "healthPort": 7777,
        "resources": RESOURCES,
        "annotations": TEXTS,
        "podAnnotations": TEXTS,
        "podLabels": TEXTS,
        "topologySpreadConstraints": [{"maxSkew": 7}],
        "runtimeClassName": "other",
        "terminationGracePeriodSeconds": 7,
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["other"]}],
        "extraEnv": [{"name": "OTHER", "value": "1"}],
        "extraEnvFrom": [{"configMapRef": {"name": "other"}}],
        "extraArgs": ["--other"],
        "extraVolumes": [{"name": "other", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "other", "mountPath": "/other"}],
        "startupProbe": {"periodSeconds": 7},
        "livenessProbe": {"periodSeconds": 7},
        "readinessProbe": {"periodSeconds": 7},
        "service": {"annotations": TEXTS, "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]},
        "podDisruptionBudget": {"enabled": False, "maxUnavailable": "50%"},
    },
    "serviceAccount": {"create": False, "name": "other", "labels": TEXTS, "annotations": TEXTS},
    "rbac": {"create": False, "aggregate": False},
    "webhook": {
        "enabled": False,
        "failurePolicy": "Ignore",
        "timeoutSeconds": 7,
        "port": 7777,
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "namespaceSelector": {"matchLabels": TEXTS},
        "annotations": TEXTS,
        "certManager": {
            "enabled": False,
            "issuerRef": {"name": "other", "kind": "ClusterIssuer"},
            "duration": "7h",
            "renewBefore": "7m",
        },
    },
    "monitoring": {
        "monitors": {
            "enabled": False,
            "namespace": "other",
            "labels": TEXTS,
            "annotations": TEXTS,
            "interval": "7s",
            "scrapeTimeout": "7s",
            "relabelings": [{"targetLabel": "other"}],
            "metricRelabelings": [{"targetLabel": "other"}],
        },
        "alerts": {
            "enabled": False,
            "namespace": "other",
            "labels": TEXTS,
            "annotations": TEXTS,
            "alertLabels": TEXTS,
            "disabled": ["TubepostCredentialExpiring"],
            "extraRules": [{"alert": "Other", "expr": "vector(1)"}],
            "runbooks": "https://other.example/",
            "expiryWarningDays": 77,
            "expiryCriticalDays": 8,
            "failureRatio": 0.07,
            "latencySeconds": 7,
            "queueAgeSeconds": 77,
            "queueGrowth": 77,
            "webhookAgeSeconds": 77,
            "queueFreeRatio": 0.07,
        },
        "dashboards": {"enabled": False, "namespace": "other", "labels": TEXTS, "annotations": TEXTS},
    },
    "networkPolicies": {
        "enabled": False,
        "apiServerCidrs": ["192.0.2.1/32"],
        "apiServerPorts": [7777],
        "extraEgress": [{"ports": [{"port": 3128}]}],
    },
    "simulator": {
        **PLACEMENT,
        **SECURITY,
        "enabled": False,
        "credentialsNamespaces": ["other"],
        "image": IMAGE,
        "environment": "Production",
        "service": {"annotations": TEXTS, "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]},
        "clientCa": "-----BEGIN CERTIFICATE-----",
        "allowedHosts": ["push.example.com"],
        "chaos": {"latencyMs": 7},
        "resources": RESOURCES,
        "podAnnotations": TEXTS,
        "podLabels": TEXTS,
    },
    "tests": {
        **SECURITY,
        "enabled": False,
        "podAnnotations": TEXTS,
        "resources": RESOURCES,
        "nodeSelector": TEXTS,
        "tolerations": [{"operator": "Exists"}],
    },
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}],
}
"""Another value than that in BASE, for every value."""
# What chooses where something is made from needs a test of its own, else one hides the other.
BASE: dict[str, Any] = {
    **EVERYTHING_ON,
    "webhook": {"certManager": {"enabled": True}},
    "crds": {"enabled": False},
}
PATHS = list(paths(VALUES, SCHEMA))
SHARED = {
    "imageRegistry": "registry.example",
    "imagePullSecrets": ["other"],
    "commonLabels": TEXTS,
    "commonAnnotations": TEXTS,
    "nodeSelector": TEXTS,
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "other",
}


def with_value(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(values)
    place = result
    *steps, last = path.split(".")
    for step in steps:
        place = place.setdefault(step, {})
    place[last] = value
    return result


def leaves(objects: Objects) -> list[str]:
    """What is made, but for what is made anew each time."""
    texts = []
    for item in objects:
        found = copy.deepcopy(item)
        if found["kind"] == "Secret":
            found.pop("data", None)
        if template := found.get("spec", {}).get("template"):
            template["metadata"]["annotations"].pop("checksum/credentials", None)
        texts.append(json.dumps(found, sort_keys=True))
    return sorted(texts)


def chosen(path: str) -> Any:
    value: Any = OTHER
    for key in path.split("."):
        value = value[key]
    return value


@pytest.fixture(scope="module")
def default() -> list[str]:
    return leaves(render(BASE))


def test_every_value_is_looked_at() -> None:
    assert set(SHARED) == set(SCHEMA["properties"]["global"]["properties"])
    for path in PATHS:
        chosen(path)


@pytest.mark.parametrize("section", sorted({path.partition(".")[0] for path in PATHS}))
def test_every_value_has_an_effect(section: str, default: list[str]) -> None:
    for path in PATHS:
        if path.partition(".")[0] == section:
            base, before = BASE, default
            if path in {"crds.keep", "crds.annotations"}:
                base = with_value(BASE, "crds.enabled", value=True)
                before = leaves(render(base))
            assert leaves(render(with_value(base, path, chosen(path)))) != before, path


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_parents_share_has_an_effect(name: str, default: list[str], tmp_path: Any) -> None:
    assert leaves(render({**BASE, "global": {name: SHARED[name]}})) != default
    values = {"tubepost": BASE, "global": {name: SHARED[name], "storageClass": "theirs"}}
    text = "".join(leaves(render(values, chart=sub_chart(tmp_path))))
    assert "other" in text or "a.example/b" in text or "registry.example" in text or "Exists" in text


def test_without_a_parent_nothing_is_ignored() -> None:
    assert "global.nodeSelektor: the chart does not read it" in refused({"global": {"nodeSelektor": {}}})
    assert "it is for parent charts" in refused({"enabled": False})
    assert "nodeSelektor" in refused({"dispatcher": {"podTemplate": {"nodeSelektor": {}}}})
