from __future__ import annotations

import json
from typing import Any

import pytest

from tests.operator.webhook.support import patch_of, patched, pod, published_deployment, push_domain, review
from tubepost_operator.names import Names
from tubepost_operator.webhook.inject import CONTAINER, Injection, Refusal
from tubepost_operator.webhook.review import (
    InjectionSource,
    MalformedReview,
    OnRefusal,
    answer,
    decide,
    read_review,
)


def decided(document: Any, published: InjectionSource) -> Injection | Refusal:
    return decide(read_review(review(document)), published)


def test_the_question() -> None:
    request = read_review(review(pod(name="shop-1"), uid="u-7"))
    assert (request.uid, request.namespace, request.name, request.push_domain) == (
        "u-7",
        "shop",
        "shop-1",
        "alerts",
    )
    assert read_review(review(pod())).name == "shop-"
    assert read_review(review(pod(labels=None))).push_domain == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"apiVersion": "admission.k8s.io/v1", "request": null}',
        review(pod()).replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
        review(pod()).replace(b'"kind": "Pod"}', b'"kind": "Node"}'),
        review({"metadata": {}, "spec": {}}),
        review({"metadata": {}, "spec": {"containers": {}}}),
        review({"metadata": {"labels": ["x"]}, "spec": {"containers": []}}),
        json.dumps({"apiVersion": "admission.k8s.io/v1", "request": {"object": "pod"}}).encode(),
    ],
)
def test_what_is_no_question(body: bytes) -> None:
    with pytest.raises(MalformedReview):
        read_review(body)


def test_a_pod_gets_its_dispatcher() -> None:
    outcome = decided(pod(), InjectionSource(push_domain(), published_deployment()))
    response = answer("u-1", outcome, OnRefusal.FAIL)
    assert response["apiVersion"] == "admission.k8s.io/v1"
    assert response["kind"] == "AdmissionReview"
    assert response["response"]["uid"] == "u-1"
    assert response["response"]["allowed"] is True
    result = patched(pod(), patch_of(response))
    assert result["spec"]["initContainers"][0]["name"] == CONTAINER


def test_a_pod_that_has_one_is_answered_without_a_patch() -> None:
    response = answer("u-1", Injection(()), OnRefusal.FAIL)
    assert response["response"] == {"uid": "u-1", "allowed": True}


def refusals() -> list[tuple[str, Any, InjectionSource, str]]:
    foreign = published_deployment()
    foreign["metadata"]["ownerReferences"][0]["uid"] = "another"
    orphan = published_deployment()
    del orphan["metadata"]["ownerReferences"]
    bare = published_deployment()
    bare["spec"]["template"]["spec"]["volumes"] = []
    broken = push_domain()
    broken["status"] = {
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Valid", "message": "fine"},
            {"type": "Ready", "status": "False", "reason": "RouteNotFound", "message": "no route apns."},
        ]
    }
    return [
        ("no push domain", pod(), InjectionSource(None, None), "does not exist"),
        (
            "one gone, its deployment there",
            pod(),
            InjectionSource(None, published_deployment()),
            "does not exist",
        ),
        ("nothing published", pod(), InjectionSource(broken, None), "RouteNotFound: no route apns. Remedy: "),
        ("not looked at", pod(), InjectionSource(push_domain(), None), "the operator has not looked at it"),
        (
            "somebody else's deployment",
            pod(),
            InjectionSource(push_domain(), foreign),
            "has no dispatcher yet",
        ),
        ("nobody's deployment", pod(), InjectionSource(push_domain(), orphan), "has no dispatcher yet"),
        ("no configuration", pod(), InjectionSource(push_domain(), bare), "has no dispatcher yet"),
        (
            "no name",
            pod(labels={Names.INJECT_LABEL: ""}),
            InjectionSource(push_domain(), published_deployment()),
            "is empty",
        ),
    ]


@pytest.mark.parametrize(("document", "published", "words"), [case[1:] for case in refusals()])
def test_refusals_say_what_to_do(document: Any, published: InjectionSource, words: str) -> None:
    outcome = decided(document, published)
    assert isinstance(outcome, Refusal)
    assert words in outcome.message
    assert "Remedy: " in outcome.message


def test_a_refusal_when_failing_closed() -> None:
    response = answer("u-1", Refusal("no such thing. Remedy: none"), OnRefusal.FAIL)["response"]
    assert response["allowed"] is False
    assert response["status"]["message"] == "tubepost: no such thing. Remedy: none"
    assert "patch" not in response


def test_a_refusal_when_failing_open() -> None:
    response = answer("u-1", Refusal("é" * 500), OnRefusal.IGNORE)["response"]
    assert response["allowed"] is True
    (warning,) = response["warnings"]
    assert warning.startswith("tubepost: this pod gets no dispatcher: é")
    assert len(warning.encode()) <= 256
    assert "patch" not in response


def test_warnings_reach_whoever_creates_the_pod() -> None:
    document = pod(annotations={"tubepost.io/sidecar-cpu-limit": "much"})
    outcome = decided(document, InjectionSource(push_domain(), published_deployment()))
    response = answer("u-1", outcome, OnRefusal.FAIL)["response"]
    assert response["allowed"] is True
    assert "patch" in response
    (warning,) = response["warnings"]
    assert warning.startswith("tubepost: annotation tubepost.io/sidecar-cpu-limit of the pod is passed over")


def test_annotations_of_the_namespace_and_limit_ranges_are_looked_at() -> None:
    annotations = {"tubepost.io/sidecar-cpu-limit": "300m"}
    small = {
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "300m"}}]},
    }
    published = InjectionSource(push_domain(), published_deployment(), annotations, (small,))
    assert isinstance(decided(pod(), published), Injection)
    without = InjectionSource(push_domain(), published_deployment(), {}, (small,))
    refusal = decided(pod(), without)
    assert isinstance(refusal, Refusal)
    assert "LimitRange small" in refusal.message
