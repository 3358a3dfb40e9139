"""Small manifests to start from."""

from __future__ import annotations

from typing import Any

from tubepost_api.compile import CompileResult, compile_manifests
from tubepost_api.problems import Manifest, Problem, ProblemCode


def document(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tubepost.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def push_domain(name: str = "alerts", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return document(
        "PushDomain",
        name,
        {"domains": [{"name": "push.example.com"}], "routes": ["apns"], **spec},
        namespace=namespace,
    )


def route(name: str = "apns", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    whole = {"certificate": {"secretName": "cert"}, **spec}
    if "endpoint" not in whole:
        whole.setdefault("environment", "Production")
    if "token" in whole:
        del whole["certificate"]
    return document("ApnRoute", name, whole, namespace=namespace)


def logger(name: str = "log", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return document("ApnLogger", name, spec, namespace=namespace)


def config_map(name: str = "hooks", namespace: str = "default", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data or {"policy.py": "def apn_status_classifier(status): ...\n"},
    }


def secret(
    name: str = "cert", namespace: str = "default", keys: tuple[str, ...] = ("tls.crt", "tls.key")
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": dict.fromkeys(keys, "x"),
    }


def compiled(*documents: dict[str, Any], push_domain: str | None = None) -> CompileResult:
    return compile_manifests(
        [Manifest(f"{index}.yaml", 0, item) for index, item in enumerate(documents)], push_domain=push_domain
    )


def errors(result: CompileResult) -> list[Problem]:
    return [problem for problem in result.problems if problem.severity == "error"]


def warnings(result: CompileResult, *, secrets: bool = False) -> list[Problem]:
    """Warnings, by default without those about Secrets that are not there."""
    return [
        problem
        for problem in result.problems
        if problem.severity == "warning" and (secrets or problem.code is not ProblemCode.SECRET_NOT_FOUND)
    ]
