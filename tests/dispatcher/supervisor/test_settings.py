from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.dispatcher.bundles import bundle
from tubepost_api.config import QueueConfig, ServingWorkload
from tubepost_api.config_jetstream import JetStreamConfig
from tubepost_dispatcher.supervisor.settings import SupervisorSettings, retires, unservable


def test_a_queue_needs_a_directory() -> None:
    config = bundle(queue=QueueConfig(persistent=True)).config
    (problem,) = unservable(config, SupervisorSettings())
    assert (problem.severity, problem.kind, problem.name) == ("error", "PushDomain", "alerts")
    assert (problem.field, problem.remedy) == ("spec.queue.disk", "start it with --queue-dir DIRECTORY")
    assert unservable(config, SupervisorSettings(queue_dir=Path("/queue"))) == ()
    assert unservable(bundle().config, SupervisorSettings()) == ()


@pytest.mark.parametrize(
    ("workload", "volatile", "loses"),
    [
        (None, False, False),
        (None, True, True),
        ("Deployment", False, True),
        ("StatefulSet", False, False),
    ],
)
def test_whose_queue_goes_with_it(
    workload: Literal["Deployment", "StatefulSet"] | None, volatile: bool, loses: bool
) -> None:
    assert SupervisorSettings(workload=workload, queue_volatile=volatile).loses_queue is loses


ALL = ServingWorkload(kind="Deployment")
TWO = ServingWorkload(kind="StatefulSet", replicas=2)


@pytest.mark.parametrize(
    ("serving", "workload", "ordinal", "retiring"),
    [
        ((), "Deployment", 0, False),
        ((TWO,), None, 0, False),
        ((ALL,), "Deployment", 0, False),
        ((ALL,), "StatefulSet", 0, True),
        ((TWO,), "Deployment", 0, True),
        ((TWO,), "StatefulSet", 1, False),
        ((TWO,), "StatefulSet", 2, True),
        ((ALL, TWO), "StatefulSet", 1, False),
        ((ALL, TWO), "StatefulSet", 2, True),
        ((ALL, TWO), "Deployment", 7, False),
        ((ServingWorkload(kind="StatefulSet"),), "StatefulSet", 7, False),
    ],
)
def test_who_retires(
    serving: tuple[ServingWorkload, ...],
    workload: Literal["Deployment", "StatefulSet"] | None,
    ordinal: int,
    retiring: bool,
) -> None:
    settings = SupervisorSettings(workload=workload, ordinal=ordinal)
    assert retires(bundle(serving=serving).config, settings) is retiring


def test_a_stream_needs_no_directory() -> None:
    stream = JetStreamConfig(servers=("nats://a:4222",), stream="S", subject_prefix="s")
    config = bundle(queue=QueueConfig(persistent=True, jet_stream=stream)).config
    assert unservable(config, SupervisorSettings()) == ()
    assert unservable(config, SupervisorSettings(queue_dir=Path("/queue"))) == ()
