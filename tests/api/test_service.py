from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.service import ServiceSpec


def test_defaults() -> None:
    service = ServiceSpec()
    said = service.model_dump(exclude_none=True, exclude_defaults=True)
    assert (service.type, service.port, said) == ("ClusterIP", 25, {})


@pytest.mark.parametrize(
    ("service", "word"),
    [
        ({"loadBalancerSourceRanges": ["192.0.2.1/24"], "type": "LoadBalancer"}, "192.0.2.0/24"),
        ({"loadBalancerClass": "no class", "type": "LoadBalancer"}, "class"),
        ({"ipFamilies": ["IPv4", "IPv4"]}, "twice"),
        ({"externalTrafficPolicy": "Local"}, "type: LoadBalancer"),
        ({"nodePort": 30025}, "NodePort or LoadBalancer"),
        ({"clusterIP": "None"}, "clusterIP"),
        ({"sessionAffinityTimeoutSeconds": 5}, "sessionAffinity: ClientIP"),
        ({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"}, "PreferDualStack"),
    ],
)
def test_what_makes_no_sense_is_said_with_the_remedy(service: dict[str, Any], word: str) -> None:
    found = errors(compiled(push_domain(service=service), route()))
    assert len(found) == 1
    assert word in str(found[0])
