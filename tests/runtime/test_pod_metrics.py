from __future__ import annotations

from tubepost_dispatcher.metrics import CATALOG
from tubepost_runtime import pod_metrics


def test_every_promised_metric_is_one_of_the_dispatchers() -> None:
    assert set(pod_metrics.NAMES) <= {spec.name for spec in CATALOG}
    assert pod_metrics.ATTEMPTS_TOTAL == "tubepost_attempts_total"


def test_every_name_is_in_the_list() -> None:
    names = {value for name, value in vars(pod_metrics).items() if name.isupper() and isinstance(value, str)}
    assert names == {*pod_metrics.NAMES, pod_metrics.ATTEMPTS_TOTAL}
