from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.delivery.support import BUSY, DELIVERED, FakePool, Told, domain, notification
from tests.dispatcher.feeds.receiver import Receiver, receiving
from tests.e2e.app import Dispatcher, wait_until
from tubepost_api.config import TracingConfig
from tubepost_cli.message import push_message
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.feeds import spans
from tubepost_dispatcher.feeds.tracing import Tracing
from tubepost_dispatcher.transaction import SessionFacts

MANIFESTS = """
apiVersion: tubepost.io/v1alpha1
kind: PushDomain
metadata: {{name: alerts}}
spec:
  domains: [{{name: push.example.com}}]
  routes: [apns]
  workers: 1
  tracing: {{endpoint: "{endpoint}"}}
---
apiVersion: tubepost.io/v1alpha1
kind: ApnRoute
metadata: {{name: apns}}
spec:
  environment: Production
  topic: com.example.app
  certificate: {{secretName: apns-certificate}}
"""
DEVICE = "cd" * 32
DEAD = "dead4100" + "ab" * 28
"""A device token to which the simulator says ExpiredToken."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def send(port: int, token: str) -> None:
    message = push_message(
        b'{"aps":{"alert":"Hello"}}',
        sender="news@example.com",
        recipient="device@push.example.com",
        token=token,
        headers={},
    )
    with smtplib.SMTP("127.0.0.1", port) as session:
        session.ehlo()
        session.mail("news@example.com")
        session.rcpt("device@push.example.com")
        session.data(message)


@pytest.mark.xdist_group("traces")
def test_a_message_is_one_trace_from_its_session_to_its_end(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(MANIFESTS.format(endpoint=receiver.endpoint))
    with Dispatcher([file], "--simulator") as dispatcher:
        send(int(dispatcher.found["port"]), DEVICE)
        send(int(dispatcher.found["port"]), DEAD)
        wait_until(lambda: len(receiver.spans("smtp session")) == 2, 60)
        wait_until(lambda: len(receiver.spans("delivery ended")) == 2, 60)
    good, bad = sorted(receiver.spans("message"), key=lambda span: span["startTimeUnixNano"])
    sessions = {span["spanId"]: span for span in receiver.spans("smtp session")}
    for message in (good, bad):
        (link,) = message["links"]
        assert sessions[link["spanId"]]["traceId"] == link["traceId"] != message["traceId"]
        assert message["traceId"] == spans.trace_id(message["attributes"]["tubepost.message_id"])
        for name in ("apns attempt", "delivery ended"):
            (below,) = [span for span in receiver.spans(name) if span["traceId"] == message["traceId"]]
            assert below["parentSpanId"] == message["spanId"]
    attempt = next(one for one in receiver.spans("apns attempt") if one["traceId"] == good["traceId"])
    assert attempt["attributes"]["tubepost.outcome"] == "delivered"
    assert int(attempt["endTimeUnixNano"]) > int(attempt["startTimeUnixNano"])
    assert "status" not in good
    assert bad["status"]["message"].startswith("550 ExpiredToken")
    everything = str(receiver.requests)
    assert DEVICE not in everything
    assert DEAD not in everything


class Bench:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.tracing = Tracing({}, self._count, wall=time.time)
        serving = domain(FakePool())
        self.delivery = Delivery(notification(), serving, Told(), RetryPolicy(1.0, 1.0), 10.0, 0.0)
        self.delivery.route = serving.routes[0]

    def _count(self, result: str, number: int) -> None:
        self.counts[result] = self.counts.get(result, 0) + number

    def told(self) -> None:
        self.tracing.attempted(self.delivery, BUSY, 1.0)
        self.tracing.ended(self.delivery, DELIVERED, 2.0)
        self.tracing.session_ended(SessionFacts("192.0.2.7", 1, session="a-1"), 3.0, 1, 0)


async def test_without_a_receiver_in_the_configuration_nothing_is_made() -> None:
    bench = Bench()
    bench.told()
    bench.tracing.update(None)
    assert not bench.tracing.on
    await bench.tracing.close()
    assert bench.counts == {}


async def test_a_change_of_the_receiver_sends_what_waited_to_the_one_before(receiver: Receiver) -> None:
    bench = Bench()
    bench.tracing.update(TracingConfig(endpoint=receiver.endpoint))
    bench.told()
    with receiving() as other:
        bench.tracing.update(TracingConfig(endpoint=other.endpoint))
        bench.told()
        await bench.tracing.close()
        wait_until(lambda: len(receiver.spans()) == len(other.spans()) == 3, 60)
    (attempt,) = receiver.spans("apns attempt")
    assert attempt["status"]["message"].startswith("ServiceUnavailable")


async def test_a_message_that_is_not_sampled_has_no_span_at_all(receiver: Receiver) -> None:
    bench = Bench()
    config: dict[str, Any] = {"endpoint": receiver.endpoint}
    bench.tracing.update(TracingConfig(**config))
    bench.tracing.update(TracingConfig(**config, sample_percent=1))
    numbers = (f"message {number}" for number in range(1_000))
    bench.delivery.notification.message_id = next(name for name in numbers if not spans.sampled(name, 1))
    bench.tracing.attempted(bench.delivery, BUSY, 1.0)
    bench.tracing.ended(bench.delivery, BUSY, 1.0)
    await bench.tracing.close()
    assert receiver.spans() == []


async def test_sessions_without_a_message_have_none(receiver: Receiver) -> None:
    bench = Bench()
    bench.tracing.update(TracingConfig(endpoint=receiver.endpoint))
    bench.tracing.session_ended(SessionFacts("192.0.2.7", 1, session="a-1"), 3.0, 0, 0)
    await bench.tracing.close()
    assert receiver.spans() == []
