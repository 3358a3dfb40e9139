from __future__ import annotations

import pytest

from tubepost_operator.kinds import CHILDREN, OWN, POD, PUSH_DOMAIN


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (POD.path(None), "/api/v1/pods"),
        (POD.path("shop", "x"), "/api/v1/namespaces/shop/pods/x"),
        (
            PUSH_DOMAIN.path("shop", "alerts", "status"),
            "/apis/tubepost.io/v1alpha1/namespaces/shop/pushdomains/alerts/status",
        ),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


def test_a_deployment_is_applied_after_what_it_mounts() -> None:
    order = list(CHILDREN)
    assert order.index("Deployment") > max(order.index("ConfigMap"), order.index("ServiceAccount"))
    assert set(OWN) == {"PushDomain", "ApnRoute", "ApnLogger"}
