"""The API server takes and refuses what `tubepost validate` takes and refuses; and changes that only it can judge."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.cases import CASES
from tests.api.manifests import push_domain
from tests.cluster.handle import Cluster, CommandFailed
from tests.cluster.layout import PROJECT

_JUDGED = ("is invalid", "unknown field", "Invalid value")
"""Words by which the server refuses an object; without them something else went wrong."""


@pytest.fixture
def defined(cluster: Cluster) -> Cluster:
    """With our definitions, as they are in this checkout."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", PROJECT / "crds")
    cluster.kubectl(
        *("wait", "--for=condition=Established", "--timeout=60s"),
        *("crd/pushdomains.tubepost.io", "crd/apnroutes.tubepost.io", "crd/apnloggers.tubepost.io"),
    )
    return cluster


def test_the_server_and_the_models_agree(defined: Cluster, namespace: str) -> None:
    def refused(case: tuple[str, dict[str, Any], str | None]) -> str:
        name, document, _ = case
        document = json.loads(json.dumps(document))
        document["metadata"]["namespace"] = namespace
        try:
            defined.kubectl(
                *("create", "--dry-run=server", "--validate=strict", "--filename=-"),
                stdin=json.dumps(document),
            )
        except CommandFailed as error:
            if any(word in str(error) for word in _JUDGED):
                return name
            raise
        return ""

    with ThreadPoolExecutor(4) as pool:
        found = set(filter(None, pool.map(refused, CASES)))
    assert found == {name for name, _, path in CASES if path is not None}


def _claimed(namespace: str, **claim: Any) -> dict[str, Any]:
    return push_domain(
        namespace=namespace, acceptance={"mode": "Queued"}, queue={"disk": {"claim": claim} if claim else {}}
    )


def test_what_a_claim_cannot_become(defined: Cluster, namespace: str) -> None:
    first = {"size": "10Gi", "storageClassName": "fast"}
    defined.apply([_claimed(namespace, **first)])

    def change(**values: Any) -> str:
        claim = {name: value for name, value in {**first, **values}.items() if value is not None}
        try:
            return defined.apply([_claimed(namespace, **claim)], "--dry-run=server")
        except CommandFailed as error:
            return str(error)

    for values, field in (
        ({"size": "9Gi"}, "claim.size"),
        ({"storageClassName": "slow"}, "claim.storageClassName"),
        ({"storageClassName": None}, "claim.storageClassName"),
        ({"accessModes": ["ReadWriteOncePod"]}, "claim.accessModes"),
    ):
        answer = change(**values)
        assert f"spec.queue.disk.{field}" in answer, (values, answer)
        assert "take the claim away" in answer
    for values in ({"size": "11Gi"}, {"size": "10240Mi"}, {"retention": "Delete"}):
        assert "configured" in change(**values) or "unchanged" in change(**values)
    # By way of no claim it may be another.
    defined.apply([_claimed(namespace)])
    defined.apply([_claimed(namespace, size="1Gi")])
