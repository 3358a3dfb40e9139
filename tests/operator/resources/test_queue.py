from __future__ import annotations

import pytest

from tubepost_api.acceptance import ClaimSpec
from tubepost_api.podtemplate import GRACE
from tubepost_dispatcher.queue.journal_file import MOST_BYTES
from tubepost_operator.quantities import amount
from tubepost_operator.resources import queue
from tubepost_operator.resources.queue import ClaimTemplate, QueueVolume


def test_a_volume_is_larger_than_its_queue_may_be() -> None:
    assert queue.empty_dir(None, 1) == {"name": "queue", "emptyDir": {}}
    limit = amount(queue.empty_dir("100Mi", 4)["emptyDir"]["sizeLimit"])
    assert limit is not None
    # Each worker has a journal of two files beside its partition.
    assert limit >= 100 * 2**20 * queue.OVERHEAD + 4 * 2 * MOST_BYTES


def test_a_pod_knows_its_workload_and_its_number() -> None:
    assert queue.arguments(QueueVolume.EMPTY_DIR, 15) == [
        *("--queue-dir", "/var/lib/tubepost/queue"),
        *("--retire-after", "15"),
        *("--workload", "Deployment"),
    ]
    assert queue.arguments(QueueVolume.JETSTREAM, 15) == queue.arguments(QueueVolume.EMPTY_DIR, 15)
    assert queue.environment(QueueVolume.EMPTY_DIR) == queue.environment(QueueVolume.JETSTREAM) == []
    assert queue.arguments(QueueVolume.CLAIM, 15)[-2:] == ["--ordinal", "$(TUBEPOST_ORDINAL)"]
    (variable,) = queue.environment(QueueVolume.CLAIM)
    assert variable["name"] == "TUBEPOST_ORDINAL"
    assert "pod-index" in variable["valueFrom"]["fieldRef"]["fieldPath"]


@pytest.mark.parametrize(
    ("wanted", "volume", "seconds"),
    [
        (GRACE, None, GRACE),
        (GRACE, QueueVolume.CLAIM, GRACE),
        (GRACE, QueueVolume.EMPTY_DIR, queue.EMPTY_DIR_GRACE),
        (30, QueueVolume.EMPTY_DIR, 30),
        (GRACE, QueueVolume.JETSTREAM, GRACE),
    ],
)
def test_only_what_would_be_lost_is_given_longer(
    wanted: int, volume: QueueVolume | None, seconds: int
) -> None:
    assert queue.grace(wanted, volume) == seconds


@pytest.mark.parametrize(
    "spec",
    [
        ClaimSpec(),
        ClaimSpec.model_validate(
            {
                "size": "3Gi",
                "storageClassName": "fast",
                "accessModes": ("ReadWriteMany",),
                "retention": "Delete",
            }
        ),
    ],
)
def test_what_claims_are_made_from_is_read_back(spec: ClaimSpec) -> None:
    template = queue.of_spec(spec)
    body = {
        "spec": {
            "volumeClaimTemplates": [queue.claim_template("alerts", template)],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": spec.retention},
        }
    }
    assert queue.of_stateful_set(body) == template
    assert queue.of_stateful_set({"spec": {}}) is None
    other = {"metadata": {"name": "other"}, "spec": {}}
    assert queue.of_stateful_set({"spec": {"volumeClaimTemplates": [other]}}) is None


def test_the_default_class_is_not_named() -> None:
    template = ClaimTemplate("1Gi", None, ("ReadWriteOnce",), "Retain")
    assert "storageClassName" not in queue.claim_template("alerts", template)["spec"]
