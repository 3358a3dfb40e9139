"""Pods, PushDomains and Deployments for the tests of the webhook."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from tubepost_api.compile import compile_manifests
from tubepost_api.problems import Manifest
from tubepost_api.pushdomain import PushDomain
from tubepost_operator.names import Names
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.deployment import deployment
from tubepost_operator.settings import ReleaseSettings, Settings

UID = "0b3c2d1e-0000-4000-8000-000000000001"
Document = dict[str, Any]


def push_domain(**spec: Any) -> Document:
    return {
        "apiVersion": "tubepost.io/v1alpha1",
        "kind": "PushDomain",
        "metadata": {"name": "alerts", "namespace": "shop", "uid": UID, "generation": 1},
        "spec": {"domains": [{"name": "push.example.com"}], "routes": ["apns"], **spec},
    }


def published_source(**spec: Any) -> Source:
    """What the operator makes children from."""
    document = push_domain(**spec)
    route = {
        "apiVersion": "tubepost.io/v1alpha1",
        "kind": "ApnRoute",
        "metadata": {"name": "apns", "namespace": "shop"},
        "spec": {"environment": "Production", "certificate": {"secretName": "apns-certificate"}},
    }
    result = compile_manifests([Manifest("test", i, d) for i, d in enumerate((document, route))])
    assert result.config is not None, result.problems
    config_map = Names.config_map("alerts", result.config.secret_names())
    settings = Settings(release=ReleaseSettings("registry.example/dispatcher:9", "IfNotPresent", ("pull",)))
    model = PushDomain.model_validate_json(json.dumps(document))
    return Source(document, model.spec, result.config, config_map, settings)


def published_deployment(**spec: Any) -> Document:
    """The Deployment that the operator makes of it."""
    return deployment(published_source(**spec))


def pod(spec: Document | None = None, **metadata: Any) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "shop-", "labels": {Names.INJECT_LABEL: "alerts"}, **metadata},
        "spec": {
            "containers": [{"name": "app", "image": "app:1", "volumeMounts": []}],
            **(spec or {}),
        },
    }


def review(pod: Document, namespace: str = "shop", uid: str = "u-1") -> bytes:
    """What the API server sends."""
    return json.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": uid,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "namespace": namespace,
                "object": pod,
            },
        }
    ).encode()


def patched(document: Document, patch: Any) -> Document:
    """The document with the additions and moves of a JSON patch (RFC 6902) made to it."""
    result = copy.deepcopy(document)
    for operation in patch:
        if operation["op"] == "move":
            *path, last = operation["from"].split("/")[1:]
            source: Any = result
            for part in path:
                source = source[part]
            operation = {**operation, "op": "add", "value": source.pop(int(last))}  # noqa: PLW2901 - the second half
        assert operation["op"] == "add"
        *path, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        target: Any = result
        for part in path:
            target = target[part]  # a parent that is not there is an error, as with the API server
        value = copy.deepcopy(operation["value"])
        if not isinstance(target, list):
            target[last] = value
        elif last == "-":
            target.append(value)
        else:
            assert int(last) <= len(target)
            target.insert(int(last), value)
    return result


def patch_of(response: Document) -> Any:
    """The patch in an AdmissionReview's answer."""
    assert response["response"]["patchType"] == "JSONPatch"
    return json.loads(base64.b64decode(response["response"]["patch"]))
