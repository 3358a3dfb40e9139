from __future__ import annotations

import pytest

from tubepost_operator.plan.remedies import remedy


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('deployments.apps is forbidden: User "a" cannot create resource "deployments"', "helm upgrade"),
        (
            'pods "alerts-1" is forbidden: exceeded quota: q, requested: pods=1, limited: pods=0',
            "raise the ResourceQuota",
        ),
        (
            'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: dispatcher',
            "spec.podTemplate.resources",
        ),
        (
            'pods "a" is forbidden: maximum cpu usage per Container is 500m, but limit is 1',
            "within the LimitRange",
        ),
        (
            'pods "a" is forbidden: no PriorityClass with name urgent was found',
            "spec.podTemplate.priorityClassName",
        ),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', "pod-security"),
        (
            "unable to validate against any security context constraint: provider x",
            "spec.podTemplate.security",
        ),
        ('failed calling webhook "x.example.com": connection refused', "see to the webhook"),
        ('admission webhook "x.example.com" denied the request: no', "exception made in the policy"),
        ("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "exception made in the policy"),
        ("spec.selector: Invalid value: field is immutable", "created anew"),
        ("spec.template: something else", "correct the field"),
    ],
)
def test_every_refusal_leads_to_a_remedy(message: str, text: str) -> None:
    assert text in remedy(message)
