"""Loggers whose sink is a webhook, beside others: what they take, and what a reload makes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.feeds.webhook.receiver import BOUND, Receiver, answer, receiving
from tubepost_api.config_logger import FileSink, FilterConfig, LoggedOutcome, LoggerConfig, WebhookConfig
from tubepost_dispatcher.config.bundle import PreparedWebhook
from tubepost_dispatcher.feeds.events import LogEvent
from tubepost_dispatcher.feeds.loggers import Loggers
from tubepost_dispatcher.metrics import Metrics

MakeEvent = Callable[..., LogEvent]
DEAD = {"http_status": 410, "reason": "Unregistered", "error": "Unregistered", "dead_token_timestamp": 7}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


def to_webhook(receiver: Receiver, name: str = "feed", **changes: Any) -> LoggerConfig:
    config = WebhookConfig(url=receiver.url, batch_interval=0.01, max_retry_interval=0.05)
    return LoggerConfig(name=name, webhook=config, **changes)


def prepared(*configs: LoggerConfig, authorization: str = "one") -> dict[str, PreparedWebhook | None]:
    return {
        config.name: PreparedWebhook(config.webhook, authorization)
        for config in configs
        if config.webhook is not None
    }


async def test_a_webhook_gets_the_events_that_its_filter_takes_and_no_heartbeats(
    receiver: Receiver, make_event: MakeEvent
) -> None:
    dead = to_webhook(receiver, filter=FilterConfig(dead_tokens=True), heartbeat=0.001)
    loggers = Loggers((dead,), "alerts", Metrics(), namespace="push", webhooks=prepared(dead))
    loggers.log(make_event("delivery"))
    loggers.log(make_event("permfail", http_status=400, reason="BadDeviceToken"))
    loggers.log(make_event("permfail", **DEAD))
    await receiver.until(lambda: bool(receiver.answered))
    await loggers.finish(BOUND)
    loggers.close()
    ((event,),) = [request.events for request in receiver.requests]
    assert event["source"] == "/apis/tubepost.io/v1alpha1/namespaces/push/pushdomains/alerts"
    assert event["data"]["deadToken"] == "a1b2c3d4" * 8
    assert event["data"]["deadTokenTimestamp"] == 7


async def test_events_that_no_filter_takes_need_not_be_made(receiver: Receiver) -> None:
    feed = to_webhook(receiver, filter=FilterConfig(outcomes=(LoggedOutcome.PERMANENT,)))
    quiet = LoggerConfig(name="quiet", log_delivery=False, log_permfail=False, log_tempfail=False)
    loggers = Loggers((feed, quiet), "alerts", Metrics(), webhooks=prepared(feed))
    assert [loggers.wants(kind) for kind in ("delivery", "permfail", "tempfail")] == [False, True, False]
    await loggers.finish(0.0)
    loggers.close()


async def test_with_a_webhook_alone_the_programs_log_tells_outcomes_as_without(
    receiver: Receiver, make_event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    feed = to_webhook(receiver, filter=FilterConfig(dead_tokens=True))
    loggers = Loggers((feed,), "alerts", Metrics(), webhooks=prepared(feed))
    assert loggers.wants("delivery")
    loggers.log(make_event("delivery"))
    assert "message 0f3a-7: delivered" in caplog.text
    await loggers.finish(0.0)
    loggers.close()


async def test_a_filter_and_momentums_meaning_are_for_files_too(
    make_event: MakeEvent, tmp_path: Path
) -> None:
    path = tmp_path / "apn.log"
    config = LoggerConfig(
        name="file",
        file=FileSink(path=str(path)),
        filter=FilterConfig(reasons=("Unregistered",)),
        compatibility="Momentum",
    )
    loggers = Loggers((config,), "alerts", Metrics())
    for reason in ("BadDeviceToken", "Unregistered"):
        loggers.log(
            make_event("permfail", reason=reason, error=reason, origin="app@b.example", peer="192.0.2.7")
        )
    loggers.close()
    (line,) = path.read_text().splitlines()
    assert "@app@b.example@user@" in line
    assert line.endswith("@192.0.2.7@0@Unregistered")


async def test_a_reload_changes_the_secret_alone_and_keeps_what_waits(
    receiver: Receiver, make_event: MakeEvent
) -> None:
    feed = to_webhook(receiver)
    loggers = Loggers((feed,), "alerts", Metrics(), webhooks=prepared(feed))
    receiver.otherwise = answer(401)
    loggers.log(make_event())
    await receiver.until(lambda: bool(receiver.requests))
    assert receiver.requests[0].headers["authorization"] == "one"
    receiver.otherwise = answer(204)
    loggers.update((feed,), webhooks=prepared(feed, authorization="two"))
    await receiver.until(lambda: receiver.requests[-1].headers["authorization"] == "two")
    await loggers.finish(BOUND)
    loggers.close()
    assert receiver.requests[-1].events[0]["data"]["messageId"] == "0f3a-7"
    assert loggers.problems() == {}


async def test_a_webhook_that_goes_still_sends_and_one_that_moves_takes_its_events_along(
    receiver: Receiver, make_event: MakeEvent
) -> None:
    going, moving = to_webhook(receiver, "going"), to_webhook(receiver, "moving")
    receiver.otherwise = answer(503)
    loggers = Loggers((going, moving), "alerts", Metrics(), webhooks=prepared(going, moving))
    loggers.log(make_event())
    await receiver.until(lambda: len(receiver.requests) > 1)
    async with receiving() as other:
        moved = to_webhook(other, "moving")
        loggers.update((moved,), webhooks=prepared(moved))
        await other.until(lambda: len(other.ids) == 1)
        before = len(receiver.requests)
        receiver.otherwise = answer(204)
        await receiver.until(lambda: len(receiver.requests) > before)
        await loggers.finish(BOUND)
    loggers.close()


async def test_what_was_logged_is_durable_when_that_is_asked_for(
    receiver: Receiver, make_event: MakeEvent, tmp_path: Path
) -> None:
    feed = to_webhook(receiver)
    receiver.otherwise = answer(503)
    loggers = Loggers((feed,), "alerts", Metrics(), webhooks=prepared(feed), outboxes=tmp_path)
    loggers.log(make_event())
    loggers.make_durable()
    (file,) = (tmp_path / "feed").iterdir()
    assert b'"messageId":"0f3a-7"' in file.read_bytes()
    await loggers.finish(0.0)
    loggers.close()
    await asyncio.sleep(0)
