"""Which reports the configuration in force and the sender want together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.bounces.support import ACCEPTED, Read, pushed
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, FACTS, FakePool, Told
from tubepost_api.config import DeliveryConfig
from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.bounces.report import ReportKind
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.domain import Domain, Route
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome, permanent_outcome

LATE = BounceConfig(delay_notices=True, delay_after=100.0)


def domain(bounces: BounceConfig | None = None) -> Domain:
    return Domain(DeliveryConfig(), [Route("blue", FakePool(), FACTS, "apns.example")], bounces=bounces)


def delivery(notification: Notification, of: Domain, tried: Outcome | None = None) -> Delivery:
    made = Delivery(notification, of, Told(), RetryPolicy(1.0, 1.0), 0.0, 0.0)
    made.route = of.routes[0]
    made.outcome = tried
    return made


class Bench:
    def __init__(self, *, relay: bool = True) -> None:
        self.missing: list[ReportKind] = []
        self.it = Reports(self.missing.append)
        self.it.swap("mx.example", relay=relay)

    def of(
        self, outcome: Outcome, bounces: BounceConfig | None = None, *, tried: bool = True, **values: Any
    ) -> Read | None:
        about = delivery(pushed(**values), domain(bounces), outcome if tried else None)
        mail = self.it.of(about, outcome, ACCEPTED + 5)
        return None if mail is None else Read(mail.content)


def test_an_attempt_names_its_peer_and_its_time() -> None:
    read = Bench().of(DEAD)
    assert read is not None
    assert read.of_recipient["Remote-MTA"] == "dns; apns.example"
    assert read.of_recipient["Last-Attempt-Date"] == "Fri, 15 Jan 2027 08:00:05 -0000"


def test_an_end_without_an_attempt_names_none() -> None:
    read = Bench().of(permanent_outcome("Expired", "expired before it was tried"), tried=False)
    assert read is not None
    assert read.of_recipient["Remote-MTA"] is None
    assert read.of_recipient["Last-Attempt-Date"] is None


def test_options_of_the_domain() -> None:
    bench = Bench()
    assert bench.of(DEAD, BounceConfig(enabled=False)) is None
    assert bench.of(DELIVERED, BounceConfig(enabled=False), dsn={"NOTIFY": "SUCCESS"}) is None
    read = bench.of(DEAD, BounceConfig.model_validate({"from": "b@corp.example"}))
    assert read is not None
    assert "b@corp.example" in read.message["From"]
    assert bench.of(local_outcome("ClientGone")) is None
    assert bench.missing == []


def test_without_a_relay_what_was_wanted_is_counted() -> None:
    bench = Bench(relay=False)
    assert bench.of(DEAD) is None
    assert bench.of(DEAD, sender="") is None
    assert bench.of(DELIVERED) is None
    assert bench.missing == ["bounce"]


@pytest.mark.parametrize(
    ("options", "values", "found"),
    [
        (None, {}, 1_000.0),
        (BounceConfig(delay_after=100.0), {}, 1_000.0),
        (BounceConfig(delay_notices=True, delay_after=100.0, enabled=False), {}, 1_000.0),
        (LATE, {}, 100.0),
        (LATE, {"sender": ""}, 1_000.0),
        (LATE, {"dsn": {"NOTIFY": "FAILURE"}}, 1_000.0),
        (BounceConfig(delay_notices=True, delay_after=1_000.0), {}, 1_000.0),
    ],
)
def test_when_to_look_at_it(options: BounceConfig | None, values: dict[str, Any], found: float) -> None:
    notification = pushed(**values)
    expires = ACCEPTED + 1_000.0
    assert Bench().it.tell_before(notification, domain(options), expires) == ACCEPTED + found
    assert notification.expires == (expires if found == 100.0 else 0.0)


def test_without_a_relay_nothing_is_looked_at_early() -> None:
    assert Bench(relay=False).it.tell_before(pushed(), domain(LATE), 2e9) == 2e9


def test_a_delay_names_the_last_attempt() -> None:
    notification = pushed(expires=ACCEPTED + 1_000.0)
    mail = Bench().it.late(notification, domain(LATE), BUSY.reason, "blue", ACCEPTED + 100.0)
    assert mail is not None
    status = Read(mail.content).of_recipient
    assert status["Diagnostic-Code"] == "X-APNs; 503 ServiceUnavailable"
    assert status["Remote-MTA"] == "dns; apns.example"
    assert Bench().it.late(notification, domain(), "", "", ACCEPTED) is None


def test_a_reason_of_ours_is_not_said_to_be_apns() -> None:
    mail = Bench().it.late(pushed(), domain(LATE), "ConnectFailed", "gone", ACCEPTED + 100.0)
    assert mail is not None
    assert Read(mail.content).of_recipient["Diagnostic-Code"] == "X-Tubepost; ConnectFailed"
