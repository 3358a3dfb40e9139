from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, FakePool, Told, domain, notification
from tubepost_dispatcher.delivery import metrics_listener as module
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.metrics_listener import MetricsListener
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind


class Bench:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.listener = MetricsListener(self.metrics)
        serving = domain(FakePool())
        self.delivery = Delivery(notification(), serving, Told(), RetryPolicy(1.0, 1.0), 10.0, 0.0)
        self.delivery.route = serving.routes[0]

    def attempted(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.listener.attempted(self.delivery, outcome, 1.0)
            self.listener.ended(self.delivery, outcome, 1.0)

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"route": "route0", **labels})


def test_attempts_are_counted_by_outcome_and_reason() -> None:
    bench = Bench()
    bench.attempted(DELIVERED, BUSY, BUSY, DEAD)
    name = "tubepost_attempts_total"
    assert bench.count(name, outcome="delivered", reason="") == 1
    assert bench.count(name, outcome="transient", reason="ServiceUnavailable") == 2
    assert bench.count(name, outcome="permanent", reason="Unregistered") == 1
    assert bench.count("tubepost_dead_tokens_total") == 1


def test_a_lost_answer_is_a_possible_double() -> None:
    bench = Bench()
    bench.attempted(BUSY)
    assert not bench.count("tubepost_possible_doubles_total")
    bench.attempted(Outcome(OutcomeKind.TRANSIENT, "ConnectionLost", possible_double=True))
    assert bench.count("tubepost_possible_doubles_total") == 1


def test_what_is_kept_for_reasons_from_outside_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REMEMBERED", 3)
    bench = Bench()
    for number in range(10):
        bench.attempted(Outcome(OutcomeKind.PERMANENT, f"New{number}", status=400))
    assert len(bench.listener._attempts) == 3
    assert bench.count("tubepost_attempts_total", outcome="permanent", reason="New9") == 1
