from __future__ import annotations

from pathlib import Path

from tests.dispatcher.bundles import bundle
from tubepost_api.config import QueueConfig
from tubepost_dispatcher.supervisor.settings import SupervisorSettings, unservable


def test_a_queue_needs_a_directory() -> None:
    config = bundle(queue=QueueConfig(persistent=True)).config
    (problem,) = unservable(config, SupervisorSettings())
    assert (problem.severity, problem.kind, problem.name) == ("error", "PushDomain", "alerts")
    assert (problem.field, problem.remedy) == ("spec.queue.disk", "start it with --queue-dir DIRECTORY")
    assert unservable(config, SupervisorSettings(queue_dir=Path("/queue"))) == ()
    assert unservable(bundle().config, SupervisorSettings()) == ()
