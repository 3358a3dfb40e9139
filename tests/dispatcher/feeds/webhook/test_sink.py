from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.feeds.webhook.receiver import (
    BOUND,
    OK,
    Receiver,
    answer,
    eventually,
    flood,
    raw,
    receiving,
    silence,
)
from tubepost_api.config_logger import WebhookConfig
from tubepost_dispatcher.config.bundle import PreparedWebhook
from tubepost_dispatcher.feeds.webhook import sink as module
from tubepost_dispatcher.feeds.webhook.outbox import Outbox
from tubepost_dispatcher.feeds.webhook.port import NoAnswer
from tubepost_dispatcher.feeds.webhook.signature import signature
from tubepost_dispatcher.feeds.webhook.sink import REFUSALS, WebhookSink
from tubepost_dispatcher.metrics import Metrics

AUTHORIZATION, KEY = "Bearer authorization-secret", b"signature-secret-of-enough-bytes"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other without a long wait."""
    monkeypatch.setattr(module, "RETRY_FIRST", 0.01)
    monkeypatch.setattr(module, "SYNC", 0.01)


def lines(count: int, start: int = 0) -> list[bytes]:
    return [json.dumps({"id": f"e{start + number}"}).encode() for number in range(count)]


def ids(count: int, start: int = 0) -> list[str]:
    return [f"e{start + number}" for number in range(count)]


class Site:
    """A receiver, and sinks that send to it."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.metrics = Metrics()
        self.sinks: list[WebhookSink] = []

    def config(self, **changes: Any) -> WebhookConfig:
        values = {"batch_size": 10, "batch_interval": 0.01, "timeout": 5.0, "max_retry_interval": 0.05}
        return WebhookConfig(url=self.receiver.url, **(values | changes))

    def sink(self, outbox: Path | None = None, **changes: Any) -> WebhookSink:
        config = self.config(**changes)
        kept = None if outbox is None else Outbox(outbox, lambda count: None)
        prepared = PreparedWebhook(config, AUTHORIZATION, KEY)
        self.sinks.append(WebhookSink("feed", config, prepared, self.metrics, outbox=kept))
        return self.sinks[-1]

    def send(self, sink: WebhookSink, count: int, start: int = 0) -> None:
        for line in lines(count, start):
            sink.write(line)

    async def taken(self, count: int) -> None:
        await self.receiver.until(lambda: len(set(self.receiver.ids)) >= count)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"logger": "feed", **labels}) or 0.0

    @property
    def dropped(self) -> dict[str, float]:
        found = {}
        for metric in self.metrics.webhook_dropped.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total") and sample.value:
                    found[sample.labels["reason"]] = sample.value
        return found


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with receiving() as receiver:
        made = Site(receiver)
        yield made
        for sink in made.sinks:
            await sink.finish(0.0)


async def test_events_leave_in_batches_signed_and_authorized(site: Site) -> None:
    sink = site.sink()
    site.send(sink, 25)
    await site.taken(25)
    assert site.receiver.ids == ids(25)
    assert [len(request.events) for request in site.receiver.requests] == [10, 10, 5]
    request = site.receiver.requests[0]
    assert request.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert request.headers["authorization"] == AUTHORIZATION
    timestamp = int(request.headers["tubepost-signature"][2:].partition(",")[0])
    assert request.headers["tubepost-signature"] == signature(KEY, timestamp, request.body)
    await sink.finish(BOUND)
    assert (site.value("tubepost_webhook_sent_total"), site.dropped) == (25.0, {})
    assert site.value("tubepost_webhook_batches_total", result="taken") == 3.0
    assert site.value("tubepost_webhook_seconds_total") > 0.0
    assert site.receiver.connections == 1


async def test_a_batch_that_is_not_full_waits_for_its_interval_and_no_longer(site: Site) -> None:
    sink = site.sink(batch_interval=0.2)
    begun = asyncio.get_running_loop().time()
    site.send(sink, 1)
    await site.taken(1)
    assert asyncio.get_running_loop().time() - begun >= 0.2
    full = site.sink(batch_interval=3600.0)
    site.send(full, 10, 1)
    await site.taken(11)


@pytest.mark.parametrize(
    "fault",
    [
        answer(500, b"oops"),
        answer(503),
        answer(401),
        answer(302, b"", "Location: http://127.0.0.1:1/"),
        answer(429, b"", "Retry-After: 0"),
        raw(b""),
        raw(b"rubbish\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nConten"),
    ],
)
async def test_whatever_a_receiver_does_nothing_is_lost_and_order_stays(
    site: Site, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sink = site.sink()
    site.receiver.script = [fault] * 4
    site.send(sink, 15)
    await site.taken(15)
    assert site.receiver.ids == ids(15)
    await sink.finish(BOUND)
    assert sink.problem == ""
    assert site.value("tubepost_webhook_batches_total", result="failed") == 4.0
    assert site.dropped == {}
    told = [record for record in caplog.records if record.name == "tubepost.logger"]
    assert [record.levelno for record in told] == [logging.ERROR, logging.WARNING], "once each"
    assert "secret" not in caplog.text
    assert "localhost" in caplog.text


async def test_slow_answers_are_not_waited_for_beyond_the_time_out(site: Site) -> None:
    sink = site.sink(timeout=0.1)
    site.receiver.script = [silence, silence]
    site.send(sink, 3)
    await site.taken(3)
    assert site.value("tubepost_webhook_batches_total", result="failed") == 2.0


async def test_a_body_without_end_is_cut_off_and_the_batch_is_taken_once(site: Site) -> None:
    sink = site.sink()
    site.receiver.script = [flood]
    site.send(sink, 3)
    await site.receiver.until(lambda: len(site.receiver.requests) == 1)
    await sink.finish(BOUND)
    assert (site.value("tubepost_webhook_sent_total"), len(site.receiver.requests)) == (3.0, 1)


async def test_retry_after_is_waited_for(site: Site) -> None:
    sink = site.sink()
    site.receiver.script = [answer(429, b"", "Retry-After: 1")]
    begun = asyncio.get_running_loop().time()
    site.send(sink, 1)
    await site.taken(1)
    assert asyncio.get_running_loop().time() - begun >= 1.0


async def test_what_is_refused_is_dropped_after_some_attempts_and_the_rest_goes_on(site: Site) -> None:
    sink = site.sink()
    site.receiver.script = [answer(422, b"no such event")] * REFUSALS
    site.send(sink, 15)
    await site.taken(5)
    assert site.receiver.ids == ids(5, 10)
    assert site.dropped == {"refused": 10.0}


async def test_what_is_too_large_is_sent_in_halves_down_to_single_events(site: Site) -> None:
    sink = site.sink()
    site.receiver.script = [answer(413)] * 4
    site.send(sink, 10)
    await site.taken(9)
    await sink.finish(BOUND)
    assert site.dropped == {"too_large": 1.0}
    sizes = [len(request.events) for request in site.receiver.requests]
    assert sizes[:5] == [10, 5, 2, 1, 1]
    assert sorted(site.receiver.ids) == sorted(ids(9, 1))


async def test_the_oldest_give_way_and_are_counted(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    sink = site.sink(max_events=20)
    site.receiver.otherwise = answer(503)
    site.send(sink, 5)
    await site.receiver.until(lambda: len(site.receiver.requests) > 1)
    site.send(sink, 50, 5)
    site.receiver.otherwise = OK
    await site.taken(20)
    await sink.finish(BOUND)
    assert set(ids(15, 40)) <= set(site.receiver.ids), "the latest stay"
    assert site.dropped == {"full": 55.0 - len(set(site.receiver.ids))}
    assert "the oldest are dropped" in caplog.text
    assert "dropped meanwhile" in caplog.text


async def test_a_changed_secret_or_url_is_in_force_for_the_next_request(site: Site) -> None:
    sink = site.sink(max_retry_interval=3600.0)
    site.receiver.otherwise = answer(401)
    site.send(sink, 1)
    await site.receiver.until(lambda: len(site.receiver.requests) > 1)
    async with receiving() as other:
        config = site.config().model_copy(update={"url": other.url})
        sink.adopt(config, PreparedWebhook(config, "Bearer another", None))
        await other.until(lambda: bool(other.answered))
        (request,) = other.requests
        assert request.headers["authorization"] == "Bearer another"
        assert "tubepost-signature" not in request.headers
        assert other.ids == ids(1)
        await sink.finish(BOUND)


async def test_without_its_secrets_events_wait(site: Site) -> None:
    config = site.config()
    sink = WebhookSink("feed", config, None, site.metrics)
    site.sinks.append(sink)
    site.send(sink, 2)
    await eventually(lambda: bool(sink.problem))
    assert "Secret" in sink.problem
    assert site.receiver.requests == []
    sink.adopt(config, PreparedWebhook(config))
    await site.taken(2)


async def test_at_the_end_what_is_there_is_sent_and_the_rest_is_counted(site: Site) -> None:
    sink = site.sink(batch_interval=3600.0)
    site.send(sink, 3)
    await sink.finish(BOUND)
    assert site.receiver.ids == ids(3)
    sink.write(lines(1)[0])
    lost = site.sink()
    site.receiver.otherwise = answer(503)
    site.send(lost, 7)
    await lost.finish(0.05)
    assert site.dropped == {"closed": 8.0}
    assert site.value("tubepost_webhook_waiting") == 0.0


async def test_an_outbox_leaves_them_to_the_successor(site: Site, tmp_path: Path) -> None:
    site.receiver.otherwise = answer(503)
    sink = site.sink(tmp_path / "feed")
    site.send(sink, 30)
    await site.receiver.until(lambda: bool(site.receiver.requests))
    await sink.finish(0.05)
    assert site.dropped == {}
    site.receiver.otherwise = OK
    successor = site.sink(tmp_path / "feed")
    await site.taken(30)
    assert sorted(set(site.receiver.ids)) == sorted(ids(30))
    await successor.finish(BOUND)
    assert not (tmp_path / "feed").exists(), "nothing is left"


async def test_what_was_taken_is_not_sent_again_by_a_successor(site: Site, tmp_path: Path) -> None:
    sink = site.sink(tmp_path / "feed", batch_size=10)
    site.receiver.script = [OK, OK]
    site.receiver.otherwise = answer(503)
    site.send(sink, 30)
    await site.taken(20)
    await sink.finish(0.05)
    site.receiver.otherwise = OK
    successor = site.sink(tmp_path / "feed")
    await site.taken(30)
    await successor.finish(BOUND)
    assert sorted(site.receiver.ids) == sorted(ids(30)), "each once"


async def test_an_outbox_is_synced_without_a_queue_too(site: Site, tmp_path: Path) -> None:
    site.receiver.otherwise = answer(503)
    sink = site.sink(tmp_path / "feed")
    site.send(sink, 3)
    await site.receiver.until(lambda: bool(site.receiver.requests))
    await eventually(lambda: any(path.stat().st_size for path in tmp_path.rglob("*.events")))


async def test_a_hanging_disk_holds_up_neither_events_nor_the_end(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: go_on.wait(BOUND))
    monkeypatch.setattr(module, "CLOSE_PATIENCE", 0.1)
    sink = site.sink(tmp_path / "feed")
    site.send(sink, 5)
    try:
        await site.taken(5)
        async with asyncio.timeout(BOUND / 2):
            await sink.finish(0.1)
    finally:
        go_on.set()


async def test_a_fault_of_ours_does_not_end_the_feed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        async def post(self, body: bytes, headers: dict[str, str]) -> Any:
            raise RuntimeError("a fault")

        async def close(self) -> None:
            pass

    sink = site.sink()
    real, broken = sink._poster._connect, [Broken()]
    monkeypatch.setattr(sink._poster, "_connect", lambda endpoint: broken.pop() if broken else real(endpoint))
    site.send(sink, 3)
    await eventually(lambda: not broken and sink.buffered == 3)
    config = site.config()
    sink.adopt(config, PreparedWebhook(config.model_copy(update={"timeout": 4.0})))
    await site.taken(3)
    assert site.receiver.ids == ids(3)


async def test_nobody_is_told_more_than_the_origin(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    class Talkative:
        async def post(self, body: bytes, headers: dict[str, str]) -> Any:
            raise NoAnswer("nobody there")

        async def close(self) -> None:
            pass

    sink = site.sink()
    sink._poster._connect = lambda endpoint: Talkative()
    site.send(sink, 1)
    await eventually(lambda: bool(sink.problem))
    assert sink.problem.startswith("http://localhost:")
    assert "secret" not in sink.problem + caplog.text
    with contextlib.suppress(KeyError):
        await sink.finish(0.0)


async def test_an_outbox_that_goes_with_the_process_is_no_successors(site: Site, tmp_path: Path) -> None:
    site.receiver.otherwise = answer(503)
    sink = site.sink(tmp_path / "feed")
    site.send(sink, 7)
    await sink.finish(0.05, last=True)
    assert site.dropped == {"closed": 7.0}


async def test_a_change_during_a_request_is_not_waited_for(site: Site) -> None:
    sink = site.sink(max_retry_interval=3600.0)
    config = site.config(max_retry_interval=3600.0)

    async def refuse_and_change(writer: asyncio.StreamWriter) -> None:
        sink.adopt(config, PreparedWebhook(config, "Bearer another", KEY))
        await answer(503, b"", "Retry-After: 3600")(writer)

    site.receiver.script = [refuse_and_change]
    site.send(sink, 1)
    await site.taken(1)
    assert site.receiver.requests[-1].headers["authorization"] == "Bearer another"
