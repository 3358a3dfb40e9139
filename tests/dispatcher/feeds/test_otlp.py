from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.dispatcher.feeds.receiver import Receiver, receiving
from tubepost_dispatcher.feeds import otlp, spans
from tubepost_dispatcher.feeds.otlp import OtlpExporter

PATIENCE = 60.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


class Sending:
    """An exporter, and what it has counted."""

    def __init__(self, endpoint: str) -> None:
        self.counts: Counter[str] = Counter()
        self.exporter = OtlpExporter(
            endpoint, {"service.name": "tubepost-dispatcher"}, self._count, pause=0.01
        )

    def _count(self, result: str, number: int) -> None:
        self.counts[result] += number

    def add(self, number: int = 1) -> None:
        for count in range(number):
            name = f"span {count}"
            self.exporter.add(spans.span(spans.trace_id(name), spans.span_id(name), name, 1, 1.0, 2.0, {}))

    def end(self) -> Counter[str]:
        self.exporter.close()
        self.exporter.join(PATIENCE)
        return self.counts


def test_spans_come_to_the_receiver_in_batches(receiver: Receiver) -> None:
    sending = Sending(f"{receiver.endpoint}/base/")
    sending.add(otlp.TOGETHER + 1)
    assert sending.end() == {"sent": otlp.TOGETHER + 1}
    assert len(receiver.spans()) == otlp.TOGETHER + 1
    assert set(receiver.paths) == {"/base/v1/traces"}
    assert len(receiver.requests) > 1, "no request has more than so many"
    (resource,) = receiver.requests[0]["resourceSpans"]
    assert resource["resource"]["attributes"][0]["value"] == {"stringValue": "tubepost-dispatcher"}


def test_a_receiver_that_cannot_now_is_asked_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "LINGER", 0.0)
    receiver.statuses = [503, 429]
    sending = Sending(receiver.endpoint)
    # Once it is closed there is no second attempt: whether there was is told by the count.
    counted = sending.counts
    sending.add()
    while not counted:
        sending.exporter.join(0.01)
    assert sending.end() == {"sent": 1}
    assert len(receiver.paths) == 3


@pytest.mark.parametrize("status", [400, 404, 500])
def test_what_the_receiver_refuses_is_lost_and_said(
    receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [status] * 9
    sending = Sending(receiver.endpoint)
    with caplog.at_level(logging.WARNING, "tubepost"):
        sending.add()
        assert sending.end() == {"lost": 1}
    assert len(receiver.paths) == 1
    assert f"it answered {status}" in caplog.text


def test_without_a_receiver_spans_are_lost_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as gone:
        endpoint = gone.endpoint
    sending = Sending(endpoint)
    sending.add()
    assert sending.end() == {"lost": 1}
    assert "has not taken spans" in caplog.text


def test_what_waits_has_a_bound(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MOST_WAITING", 0)
    sending = Sending(receiver.endpoint)
    sending.add(5)
    assert sending.end() == {"lost": 5}
