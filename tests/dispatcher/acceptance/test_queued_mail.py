"""Queued acceptance of mail, of messages with an e-mail part, and of large ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.dispatcher.acceptance.support import QueuedBench, abandon
from tests.dispatcher.acceptance.test_direct_mail import BOTH, EMAIL, MAIL, Relay, settled
from tests.support.mcmt import message
from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.acceptance import base, relay
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure, FailureKind

FULL = Failure(FailureKind.FULL, "no space")
PLAIN = b"Subject: x\r\n\r\nmail\r\n"
OTHER = f"sub@{QueuedBench.OTHER}"


@pytest.fixture
def taker(monkeypatch: pytest.MonkeyPatch) -> Relay:
    taker = Relay()
    monkeypatch.setattr(relay, "relay", taker.relay)
    return taker


def bench(other: DeliveryConfig | None = None) -> QueuedBench:
    made = QueuedBench(other)
    config = made.active.config.model_copy(update={"passthru": RelayConfig(host="mx")})
    made.swap(replace(made.active, config=config))
    return made


async def test_mail_goes_to_the_relay_for_all_recipients_in_one_go(taker: Relay) -> None:
    it = bench()
    it.send("x", "y", content=PLAIN)
    await settled()
    assert taker.mails == [PLAIN]
    assert [to for to, _ in taker.to[0]] == ["x@apn_example.com", "y@apn_example.com"]
    assert it.replies == [(250, "2.0.0", "Relay: ok")]
    assert it.messages("accepted", "mail") == 1
    assert it.queue.puttings == []


async def test_mail_that_the_relay_refuses_is_refused_in_its_words(taker: Relay) -> None:
    taker.reply = Reply(550, "5.1.1", "Relay: no such user", "RelayRejected")
    it = bench()
    it.send("x", "y", content=PLAIN)
    await settled()
    assert it.replies == [(550, "5.1.1", "Relay: no such user")]


async def test_the_email_part_goes_first_and_then_the_push_is_stored(taker: Relay) -> None:
    it = bench()
    taker.go.clear()
    it.send("x", "y", content=BOTH)
    await settled()
    assert it.queue.puttings == []
    taker.go.set()
    await settled()
    assert [to for to, _ in taker.to[0]] == ["x@apn_example.com", "y@apn_example.com"]
    assert len(it.queue.answer().items) == 2
    assert it.replies == [(250, "2.0.0", "Queued as m1, 2 notifications")]


async def test_an_email_part_that_the_relay_refuses_leaves_nothing_in_the_queue(taker: Relay) -> None:
    taker.reply = Reply(451, "4.2.0", "Relay: later", "RelayDeferred")
    it = bench()
    it.send("x", content=BOTH)
    await settled()
    assert it.replies == [(451, "4.2.0", "E-mail part: Relay: later")]
    assert it.queue.puttings == []


async def test_a_push_that_is_not_stored_makes_no_second_mail(taker: Relay) -> None:
    it = bench()
    for failure, mails in ((FULL, 1), (FULL, 1), (None, 1), (None, 2)):
        it.send("x", "y", content=BOTH)
        await settled()
        it.queue.answer(failure)
        assert it.replies.pop()[0] == (452 if failure else 250)
        assert len(taker.mails) == mails


async def test_the_deadline_of_the_disk_begins_after_the_relay(taker: Relay) -> None:
    it = bench()
    taker.go.clear()
    it.send(content=BOTH)
    await settled()
    it.loop.advance(60.0)
    assert it.replies == []
    taker.go.set()
    await settled()
    it.loop.advance(29.0)
    assert it.replies == []
    it.loop.advance(2.0)
    assert it.replies[0][0] == 451
    assert it.queue.puttings[0].abandoned


async def test_what_is_discarded_makes_no_mail(taker: Relay) -> None:
    it = bench(DeliveryConfig(mode=DeliveryMode.BLACKHOLE))
    it.send(OTHER, content=BOTH)
    await settled()
    assert it.replies.pop()[2] == "Discarded: delivery mode is Blackhole"
    assert taker.mails == []
    it.send("x", OTHER, content=BOTH)
    await settled()
    assert [to for to, _ in taker.to[0]] == ["x@apn_example.com"]


async def test_a_client_that_leaves_while_the_relay_has_the_mail(taker: Relay) -> None:
    it = bench()
    taker.go.clear()
    transaction = it.send(content=BOTH)
    await settled()
    abandon(transaction)
    await settled()
    taker.go.set()
    await settled()
    assert (taker.mails, it.queue.puttings, it.acceptance.open) == ([], [], 0)
    assert it.messages("abandoned") == 1


async def test_a_fault_of_ours_after_the_relays_yes_is_451(
    taker: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("secret")

    it = bench()
    monkeypatch.setattr(it.queue, "put", fail)
    it.send(content=BOTH)
    await settled()
    assert it.replies == [(451, "4.3.0", "Internal error, try again later")]
    assert taker.mails == [MAIL + b"\r\n"]


async def test_a_message_to_many_is_read_in_a_thread() -> None:
    it = QueuedBench()
    it.context.loop = asyncio.get_running_loop()
    it.send(*(f"r{number}" for number in range(base.MANY + 1)))
    assert it.queue.puttings == []
    await asyncio.get_running_loop().run_in_executor(it.context.reader, lambda: None)
    await settled()
    assert len(it.queue.answer().items) == base.MANY + 1
    await it.context.close(0.0)


async def test_an_email_part_alone_is_mail(taker: Relay) -> None:
    it = bench()
    it.send("x", "y", content=message(EMAIL))
    await settled()
    assert taker.mails == [MAIL + b"\r\n"]
    assert it.messages("accepted", "mail") == 1
