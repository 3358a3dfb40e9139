from __future__ import annotations

from tests.operator.resources.sources import source
from tubepost_operator.names import Names
from tubepost_operator.resources.pdb import disruption_budget


def test_drains_take_one_pod_and_never_wait_for_one_that_does_not_serve() -> None:
    spec = disruption_budget(source())["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"] == {"matchLabels": Names.pod_selector(source().name)}
