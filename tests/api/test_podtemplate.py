from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.podtemplate import GRACE, PodTemplateSpec


def test_defaults() -> None:
    template = PodTemplateSpec()
    assert template.termination_grace_period_seconds == GRACE
    assert (template.image, template.labels, template.image_pull_secrets) == (None, None, ())


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ({"labels": {"tubepost.io/push-domain": "other"}}, "own"),
        ({"labels": {"app.kubernetes.io/name": "other"}}, "own"),
        ({"annotations": {"tubepost.io/refresh": "now"}}, "own"),
        ({"labels": {"team": "not a label value"}}, "label"),
        ({"labels": {"-x": "y"}}, "key"),
        ({"resources": {"limits": {"memory": "lots"}}}, "quantity"),
        ({"security": {"runAsUser": 0}}, "1"),
        ({"terminationGracePeriodSeconds": 5}, "15"),
        ({"serviceAccountName": "admin"}, "serviceAccountName"),
        ({"volumes": []}, "volumes"),
    ],
)
def test_what_a_push_domain_may_not_say_about_its_pods(template: dict[str, Any], word: str) -> None:
    found = errors(compiled(push_domain(podTemplate=template), route()))
    assert len(found) == 1
    assert word in str(found[0])


def test_labels_and_annotations_of_others() -> None:
    template = {
        "labels": {"team": "push", "example.com/cost-centre": "4711"},
        "annotations": {"app.kubernetes.io/name": "an annotation may have this key"},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    assert errors(compiled(push_domain(podTemplate=template), route())) == []
