"""Sets of values that the chart has to make valid objects of."""

from __future__ import annotations

from typing import Any

EVERYTHING_ON: dict[str, Any] = {
    "operator": {"replicas": 2},
    "monitoring": {name: {"enabled": True} for name in ("monitors", "alerts", "dashboards")},
    "networkPolicies": {"enabled": True},
    "simulator": {"enabled": True},
}
"""All that is off by default, and nothing else."""

MONITORING: dict[str, Any] = {
    "monitors": {"enabled": True, "labels": {"release": "prometheus"}},
    "alerts": {"enabled": True, "labels": {"release": "prometheus"}, "alertLabels": {"team": "mail"}},
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Mail"}},
}

SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "simulator": {"simulator": {"enabled": True}},
    "high-availability": {
        "operator": {
            "replicas": 3,
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
            "podLabels": {"team": "mail"},
            "podAnnotations": {"a": "b"},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
        },
    },
    "namespaced": {"watch": {"namespaces": ["shop", "news"]}},
    "namespace-alone": {
        "watch": {"namespaces": ["shop"]},
        "webhook": {"enabled": False},
        "crds": {"enabled": False},
    },
    "failing-open": {"webhook": {"failurePolicy": "Ignore", "annotations": {"a": "b"}}},
    "cert-manager": {"webhook": {"certManager": {"enabled": True}}, "namespaceOverride": "push"},
    "the-nodes-network": {"webhook": {"hostNetwork": True}, "operator": {"healthPort": 9080}},
    "tuned": {
        "operator": {
            "concurrency": 8,
            "resyncSeconds": 900,
            "upgradesAtATime": 5,
            "leaderElection": {"leaseDurationSeconds": 30, "renewSeconds": 5},
        },
        "dispatcher": {
            "podTemplate": {
                "resources": {"limits": {"cpu": "2"}},
                "security": {"runAsUser": 1000},
                "tolerations": [{"key": "mail", "operator": "Exists"}],
            },
        },
        "global": {"priorityClassName": "system-cluster-critical", "nodeSelector": {"pool": "mail"}},
    },
    "monitored": {"monitoring": MONITORING},
    "closed": {
        "networkPolicies": {"enabled": True, "apiServerCidrs": ["192.0.2.1/32"], "apiServerPorts": [6443]},
        "simulator": {"enabled": True},
    },
    "bare": {
        "crds": {"enabled": False},
        "webhook": {"enabled": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "mine"},
        "tests": {"enabled": False},
    },
    "private-registry": {
        "image": {"registry": "registry.example:5000", "digest": "sha256:" + "0" * 64},
        "dispatcher": {"image": {"repository": "mirror/dispatcher", "tag": "9", "pullPolicy": "Always"}},
        "imagePullSecrets": [{"name": "pull"}],
        "global": {"imageRegistry": "other.example", "imagePullSecrets": ["shared", {"name": "pull"}]},
    },
    "everything": {
        "commonLabels": {"cost-centre": "17", "app.kubernetes.io/name": "not-this"},
        "fullnameOverride": "post",
        "operator": {"replicas": 2},
        "monitoring": MONITORING,
        "networkPolicies": {"enabled": True},
        "simulator": {
            "enabled": True,
            "allowedHosts": ["api.example.com", "*"],
            "chaos": {"latencyMs": 50, "errors": {"ServiceUnavailable": 0.01}},
            "clientCa": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
            "credentialsNamespaces": ["shop", "push"],
        },
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-map"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-text}\n",
        ],
    },
}
