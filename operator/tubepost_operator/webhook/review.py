"""AdmissionReview in, AdmissionReview out. Pure.

Source: Kubernetes, "Dynamic Admission Control", API admission.k8s.io/v1.
"""

from __future__ import annotations

import base64
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tubepost_operator.names import Names
from tubepost_operator.webhook.inject import Injection, Refusal, config_name, inject

API_VERSION: Final = "admission.k8s.io/v1"

_MAX_WARNING = 256
"""Bytes of a warning that the API server passes on (RFC 9110 header, Kubernetes' own bound)."""


class OnRefusal(enum.StrEnum):
    """What becomes of a pod that can get no dispatcher."""

    FAIL = "fail"
    """It is not admitted; its controller tries again."""
    IGNORE = "ignore"
    """It is admitted without a dispatcher, with a warning."""


class MalformedReview(Exception):
    """The request is no AdmissionReview of a Pod."""


@dataclass(frozen=True, slots=True)
class PodRequest:
    """What the API server asks about. `name` is empty or a prefix when the server is yet to choose it."""

    uid: str
    namespace: str
    name: str
    push_domain: str
    """Name of the PushDomain that the pod asks for; empty when it asks for none."""
    pod: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InjectionSource:
    """What the operator has published for a PushDomain.

    `push_domain` and `workload` are the objects as the API server gives them, None where there is none;
    `workload` is the object of the PushDomain's name, whoever owns it. `namespace` are annotations of the
    pod's namespace, `limit_ranges` its LimitRanges; both empty where they cannot be read.
    """

    push_domain: Mapping[str, Any] | None
    workload: Mapping[str, Any] | None
    namespace: Mapping[str, str] = field(default_factory=dict)
    limit_ranges: tuple[Mapping[str, Any], ...] = ()


def read_review(body: bytes) -> PodRequest:
    """Read the API server's question.

    Raises:
        MalformedReview: it is none, or not about a Pod.
    """
    try:
        document = json.loads(body)
        request = document["request"]
        pod = request["object"]
        metadata = pod["metadata"]
        if document["apiVersion"] != API_VERSION or request["kind"]["kind"] != "Pod":
            raise MalformedReview(f"this is no AdmissionReview of {API_VERSION} about a Pod")
        if not isinstance(pod["spec"]["containers"], list):
            raise MalformedReview("the Pod has no containers")
        return PodRequest(
            uid=str(request["uid"]),
            namespace=str(request.get("namespace") or metadata.get("namespace") or ""),
            name=str(metadata.get("name") or metadata.get("generateName") or ""),
            push_domain=str((metadata.get("labels") or {}).get(Names.INJECT_LABEL, "")),
            pod=pod,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedReview(f"this is no AdmissionReview about a Pod: {error!r}") from error


def decide(request: PodRequest, published: InjectionSource) -> Injection | Refusal:
    """Say what the pod gets."""
    if not request.push_domain:
        return Refusal(f"the label {Names.INJECT_LABEL} is empty. Remedy: write the name of a PushDomain")
    where = f"{request.namespace}/{request.push_domain}"
    if published.push_domain is None:
        return Refusal(
            f"PushDomain {where}, which the label {Names.INJECT_LABEL} names, does not exist. "
            "Remedy: create it in the namespace of the pod, or correct the label"
        )
    template = _template(published.push_domain, published.workload)
    if template is None or not config_name(template):
        return Refusal(
            f"PushDomain {where} has no dispatcher yet: {_state(published.push_domain)}. "
            f"Remedy: kubectl -n {request.namespace} describe pushdomain {request.push_domain}"
        )
    return inject(request.pod, template, namespace=published.namespace, limit_ranges=published.limit_ranges)


def answer(uid: str, outcome: Injection | Refusal, on_refusal: OnRefusal) -> dict[str, Any]:
    """The AdmissionReview that answers the request with this uid."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if isinstance(outcome, Injection):
        if outcome.patch:
            text = json.dumps(outcome.patch, separators=(",", ":"))
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(text.encode()).decode()
        if outcome.warnings:
            response["warnings"] = [_warning(text) for text in outcome.warnings]
    elif on_refusal is OnRefusal.FAIL:
        response["allowed"] = False
        response["status"] = {"code": 422, "reason": "Invalid", "message": f"tubepost: {outcome.message}"}
    else:
        response["warnings"] = [_warning(f"this pod gets no dispatcher: {outcome.message}")]
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _warning(text: str) -> str:
    return f"tubepost: {text}".encode()[:_MAX_WARNING].decode(errors="ignore")


def _template(push_domain: Mapping[str, Any], workload: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The pod template of the PushDomain's workload; that of anybody else's does not count."""
    if workload is None:
        return None
    owners = workload["metadata"].get("ownerReferences") or ()
    if not any(owner.get("uid") == push_domain["metadata"]["uid"] for owner in owners):
        return None
    template: Mapping[str, Any] = workload["spec"]["template"]
    return template


def _state(push_domain: Mapping[str, Any]) -> str:
    for condition in (push_domain.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            message = str(condition.get("message") or "").rstrip(".")
            return f"{condition.get('reason')}: {message}" if message else str(condition.get("reason"))
    return "the operator has not looked at it"
