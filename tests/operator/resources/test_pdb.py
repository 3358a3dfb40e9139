from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.resources.sources import source
from tubepost_api.config import QueueConfig
from tubepost_api.config_jetstream import JetStreamConfig
from tubepost_operator.names import Names
from tubepost_operator.resources.pdb import disruption_budget
from tubepost_operator.resources.queue import QueueVolume

STREAM = QueueConfig(
    persistent=True, jet_stream=JetStreamConfig(servers=("nats://a:4222",), stream="S", subject_prefix="s")
)


def test_drains_take_one_pod_and_never_wait_for_one_that_does_not_serve() -> None:
    spec = disruption_budget(source())["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"] == {"matchLabels": Names.pod_selector(source().name)}


@pytest.mark.parametrize(
    ("place", "spec", "of"),
    [
        (None, None, {1: 1, 4: 1, 5: 2, 12: 3, 0: 1}),
        (QueueVolume.CLAIM, QueueConfig(persistent=True), {1: 1, 12: 1}),
        (QueueVolume.EMPTY_DIR, QueueConfig(persistent=False), {1: 1, 12: 1}),
        (QueueVolume.EMPTY_DIR, None, {12: 1}),
        (QueueVolume.JETSTREAM, STREAM, {3: 1, 12: 3}),
    ],
)
def test_of_pods_that_hold_nothing_a_quarter_may_go(
    place: QueueVolume | None, spec: QueueConfig | None, of: dict[int, int]
) -> None:
    base = source()
    config = base.config.model_copy(update={"queue": spec})
    for replicas, most in of.items():
        given = base.spec.model_copy(update={"replicas": replicas})
        made = disruption_budget(replace(base, queue=place, config=config, spec=given))
        assert made["spec"]["maxUnavailable"] == most
        retiring = replace(base, queue=place, config=config, spec=given, unready=2)
        assert disruption_budget(retiring)["spec"]["maxUnavailable"] == most + 2
