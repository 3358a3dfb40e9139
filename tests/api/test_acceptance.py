from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, push_domain, route
from tubepost_api.acceptance import AcceptanceSpec, ClaimSpec, DiskSpec, QueueSpec, queue_config
from tubepost_api.config import AcceptanceConfig, AcceptanceMode, AcceptanceOverflow, QueueConfig
from tubepost_api.convert import converted
from tubepost_api.crd import schema
from tubepost_api.pushdomain import PushDomain


def test_the_defaults_are_those_of_the_config() -> None:
    assert converted(AcceptanceSpec(), AcceptanceConfig) == AcceptanceConfig()
    assert queue_config(QueueSpec(disk=DiskSpec()), "ns", "a") == QueueConfig(persistent=False)


def test_without_a_queue_there_is_none() -> None:
    config = compiled(push_domain(), route()).config
    assert config is not None
    assert config.queue is None
    assert (config.acceptance.mode, config.serving) == (AcceptanceMode.DIRECT, ())


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ({"disk": {}}, QueueConfig(persistent=False)),
        ({"disk": {"claim": {}}}, QueueConfig(persistent=True)),
        (
            {"maxMessages": 7, "disk": {"maxSize": "1Gi", "reserve": "1Mi"}},
            QueueConfig(persistent=False, max_messages=7, max_bytes=2**30, reserve=2**20),
        ),
    ],
)
def test_a_queue_arrives(queue: dict[str, Any], expected: QueueConfig) -> None:
    config = compiled(push_domain(acceptance={"mode": "Queued"}, queue=queue), route()).config
    assert config is not None
    assert config.queue == expected
    assert config.acceptance.mode is AcceptanceMode.QUEUED


def test_overflow_arrives() -> None:
    domain = push_domain(acceptance={"overflow": "Queue"}, queue={"disk": {}})
    config = compiled(domain, route()).config
    assert config is not None
    assert config.acceptance.overflow is AcceptanceOverflow.QUEUE


def test_a_document_without_a_queue_is_as_before_queues() -> None:
    config = compiled(push_domain(), route()).config
    assert config is not None
    text = config.to_json()
    assert not [
        word for word in ("queue", "overflow", "retry", "messageExpiration", "serving") if word in text
    ]


def test_the_server_refuses_changes_that_a_claim_cannot_make() -> None:
    spec = schema(PushDomain)["properties"]["spec"]
    claim = spec["properties"]["queue"]["properties"]["disk"]["properties"]["claim"]
    rules = {rule["fieldPath"]: rule for rule in claim["x-kubernetes-validations"]}
    assert set(rules) == {".size", ".storageClassName", ".accessModes"}
    for path, rule in rules.items():
        assert "oldSelf" in rule["rule"]
        assert "wait until QueueSettled is True" in rule["message"], path
    assert {f".{info.alias}" for info in ClaimSpec.model_fields.values()} - set(rules) == {
        ".retention",
        ".whenScaled",
    }
