from __future__ import annotations

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, FakePool, Told, domain, notification
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.metrics_listener import OTHER, UNKNOWN_REASONS, MetricsListener
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import permanent_outcome


class Bench:
    def __init__(self, *, queued: bool = False) -> None:
        self.metrics = Metrics()
        self.listener = MetricsListener(self.metrics)
        serving = domain(FakePool())
        self.delivery = Delivery(
            notification(), serving, Told(), RetryPolicy(1.0, 1.0, queued=queued), 10.0, 0.0
        )
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


def test_words_from_outside_become_so_many_labels_and_no_more() -> None:
    bench = Bench()
    bench.attempted(BUSY)
    for number in range(1_000):
        for kind in (OutcomeKind.PERMANENT, OutcomeKind.TRANSIENT):
            bench.attempted(Outcome(kind, f"New{number}", status=400))
    name = "tubepost_attempts_total"
    last = UNKNOWN_REASONS - 1
    assert bench.count(name, outcome="permanent", reason=f"New{last}") == 1
    assert bench.count(name, outcome="permanent", reason=f"New{last + 1}") is None
    assert bench.count(name, outcome="permanent", reason=OTHER) == 1_000 - UNKNOWN_REASONS
    assert bench.count(name, outcome="transient", reason=OTHER) == 1_000 - UNKNOWN_REASONS
    bench.attempted(DEAD, BUSY)  # what is known has its place
    assert bench.count(name, outcome="permanent", reason="Unregistered") == 1
    assert bench.count(name, outcome="transient", reason="ServiceUnavailable") == 2
    assert len(bench.listener._attempts) == 2 * UNKNOWN_REASONS + 2


def test_what_leaves_the_queue_is_counted_by_its_end() -> None:
    expired, dropped = permanent_outcome("Expired", "late"), permanent_outcome("Dropped", "by ops")
    for bench, sign in ((Bench(queued=True), 1), (Bench(), 0)):
        bench.attempted(DELIVERED, DELIVERED, BUSY, DEAD, DEAD, DEAD)
        for outcome in (expired, dropped):
            bench.listener.ended(bench.delivery, outcome, 1.0)
        found = [
            bench.metrics.registry.get_sample_value("tubepost_queue_ended_total", {"end": end})
            for end in ("delivered", "failed", "expired", "dropped")
        ]
        # BUSY is no end of a queued one; here it is told as one all the same.
        assert found == [2 * sign, 4 * sign, sign, sign]
        assert (bench.count("tubepost_queue_deferred_total") or 0) == sign
