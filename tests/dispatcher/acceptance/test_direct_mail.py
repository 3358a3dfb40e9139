"""Direct acceptance of messages with an e-mail part, and of large ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.dispatcher.acceptance.support import Bench, abandon
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tests.support.mcmt import message, part
from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.acceptance import base, relay
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Mailing

MAIL = b"Subject: x\r\n\r\nhello"
EMAIL = part(MAIL, token=None, kind=b"message/rfc822")
BOTH = message(EMAIL, part())


class Relay:
    """Takes the place of the client for relays."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.to: list[Any] = []
        self.reply = Reply(250, "2.0.0", "Relay: ok")
        self.go = asyncio.Event()
        self.go.set()

    async def relay(
        self, config: Any, auth: Any, sender: str, to: Any, content: Mailing, **more: Any
    ) -> Reply:
        await self.go.wait()
        more["progress"].complete = True
        self.mails.append(bytes(content))
        self.to.append(to)
        return self.reply


@pytest.fixture
def taker(monkeypatch: pytest.MonkeyPatch) -> Relay:
    taker = Relay()
    monkeypatch.setattr(relay, "relay", taker.relay)
    return taker


def bench(*, passthru: bool = True) -> Bench:
    made = Bench()
    if passthru:
        config = made.active.config.model_copy(update={"passthru": RelayConfig(host="mx")})
        made.swap(replace(made.active, config=config))
    return made


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def sent(it: Bench, outcome: Outcome, content: bytes = BOTH) -> tuple[int, str, str]:
    """Inject, and let the push end; the reply."""
    it.take(content)
    await settled()
    it.pools[0].answer(outcome)
    if outcome is BUSY:
        it.loop.advance(60.0)
    return it.replies.pop()


@pytest.mark.parametrize("outcome", [DELIVERED, DEAD])
async def test_the_same_message_after_its_final_answer_is_a_new_mail(taker: Relay, outcome: Outcome) -> None:
    it = bench()
    for _ in range(2):
        assert (await sent(it, outcome))[0] in {250, 550}
    assert taker.mails == [MAIL + b"\r\n"] * 2


async def test_the_same_message_after_a_451_is_a_repetition(taker: Relay) -> None:
    it = bench()
    assert (await sent(it, BUSY))[0] == 451
    other = message(EMAIL, part(b'{"aps":{"alert":"another"}}'))
    assert (await sent(it, DELIVERED, other))[0] == 250
    assert len(taker.mails) == 2
    assert (await sent(it, DELIVERED))[0] == 250
    assert len(taker.mails) == 2
    assert (await sent(it, DELIVERED))[0] == 250
    assert len(taker.mails) == 3


async def test_a_client_that_did_not_hear_the_250_repeats_the_message(taker: Relay) -> None:
    it = bench()
    it.pools[0].withdrawable = False
    transaction = it.take(BOTH)
    await settled()
    abandon(transaction)
    it.pools[0].answer(DELIVERED)
    assert (await sent(it, DELIVERED))[0] == 250
    assert len(taker.mails) == 1


@pytest.mark.parametrize("content", [BOTH, message(EMAIL), b"Subject: x\r\n\r\nmail\r\n"])
async def test_a_client_that_leaves_takes_its_mail_with_it(taker: Relay, content: bytes) -> None:
    it = bench()
    taker.go.clear()
    transaction = it.take(content)
    await settled()
    abandon(transaction)
    await settled()
    taker.go.set()
    await settled()
    assert taker.mails == []
    assert it.pools[0].requests == []
    assert it.acceptance.open == 0
    assert it.messages("abandoned", "push" if content is BOTH else "mail") == 1


async def test_an_email_part_without_a_relay_is_counted() -> None:
    it = bench(passthru=False)
    assert (await sent(it, DELIVERED))[0] == 250
    assert it.count("tubepost_dropped_parts_total", channel="email") == 1


LARGE = message(part(MAIL + b"x\r\n" * 200_000, token=None, kind=b"message/rfc822"), part())


async def read(it: Bench) -> None:
    """Let the reader's thread finish what it has, and hear of it."""
    await asyncio.get_running_loop().run_in_executor(it.context.reader, lambda: None)
    await settled()


async def test_a_large_message_is_read_in_a_thread(taker: Relay) -> None:
    it = bench()
    it.context.loop = asyncio.get_running_loop()
    it.take(LARGE)
    assert it.pools[0].requests == []
    await read(it)
    async with asyncio.timeout(10):
        while not it.pools[0].requests:  # noqa: ASYNC110 - until the message is hashed, also in a thread
            await asyncio.sleep(0.01)
    it.pools[0].answer(DELIVERED)
    assert it.replies[0][0] == 250
    assert len(taker.mails[0]) > 600_000
    await it.context.close(0.0)


async def test_a_client_that_leaves_while_its_message_is_read(taker: Relay) -> None:
    it = bench()
    it.context.loop = asyncio.get_running_loop()
    abandon(it.take(LARGE))
    await read(it)
    assert (it.pools[0].requests, taker.mails, it.acceptance.open) == ([], [], 0)
    assert it.messages("abandoned") == 1


@pytest.mark.pure
async def test_a_fault_of_ours_in_the_thread_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **more: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(base, "receive", fail)
    it = bench()
    it.context.loop = asyncio.get_running_loop()
    it.take(LARGE)
    await read(it)
    assert it.replies == [(451, "4.3.0", "Internal error, try again later")]
