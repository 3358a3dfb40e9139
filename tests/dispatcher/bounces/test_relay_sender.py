"""Mails reach the relay; a relay with a trouble of its own is left alone for a while."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import pytest

from tests.dispatcher.smtp.support import running, scripted
from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.bounces import relay_sender
from tubepost_dispatcher.bounces.relay_sender import RelaySender
from tubepost_dispatcher.follow_up import MailKind, OutgoingMail
from tubepost_dispatcher.reply import Reply


def mail(kind: MailKind = "bounce", sender: str = "", **values: Any) -> OutgoingMail:
    recipient = values.pop("recipient", "a@push.example")
    return OutgoingMail(kind, sender, recipient, b"Subject: x\r\n\r\nbody\r\n", "m1", "apn.example", 1.0)


class Bench:
    def __init__(self, port: int) -> None:
        self.now = 100.0
        self.it = RelaySender(lambda: self.now)
        self.config = RelayConfig(host="127.0.0.1", port=port, timeout=5.0)
        self.it.swap(self.config, None, None, "mx.example")

    async def send(self, what: OutgoingMail | None = None) -> Reply:
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.it.send(what or mail(), answer.set_result)
        assert not answer.done()
        async with asyncio.timeout(20):
            return await answer


async def test_a_report_has_the_null_sender_and_asks_for_no_report() -> None:
    async with running() as relay:
        bench = Bench(relay.port)
        assert (await bench.send()).code == 250
        (transaction,) = relay.acceptance.accepted
        assert transaction.mail_from == ""
        assert transaction.recipients[0].address == "a@push.example"
        assert transaction.recipients[0].dsn == {"NOTIFY": "NEVER"}
        assert bytes(transaction.content).endswith(b"Subject: x\r\n\r\nbody\r\n")
        assert bench.it.held_until == 0.0


async def test_a_rerouted_mail_has_its_own_sender() -> None:
    async with running() as relay:
        assert (await Bench(relay.port).send(mail("reroute", "app@sender.example"))).code == 250
        (transaction,) = relay.acceptance.accepted
        assert transaction.mail_from == "app@sender.example"
        assert transaction.recipients[0].dsn is None


async def test_an_address_beyond_ascii() -> None:
    async with running() as relay:
        assert (await Bench(relay.port).send(mail(recipient="jürgen@push.example"))).code == 250
        assert relay.acceptance.accepted[0].smtputf8


async def test_a_relay_that_is_away_is_left_alone_for_longer_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tubepost.bounces")
    async with scripted({}) as port:
        pass
    bench = Bench(port)
    waits = []
    for _ in range(8):
        reply = await bench.send()
        assert reply.reason == "RelayUnreachable"
        assert bench.it.blames_relay(reply)
        waits.append(bench.it.held_until - bench.now)
        await bench.send()  # one that was under way when the other failed makes it no longer
        assert bench.it.held_until - bench.now == waits[-1]
        bench.now = bench.it.held_until
    assert waits[:7] == sorted(waits[:7])
    assert 40 < waits[-1] < 80
    async with running() as relay:
        bench.it._config = RelayConfig(host="127.0.0.1", port=relay.port)
        assert (await bench.send()).code == 250
    assert bench.it.held_until == 0.0
    assert [record.message for record in caplog.records] == [
        "relay for bounces: Relay cannot be reached; mails are kept and wait",
        "relay for bounces: it takes mail again",
    ]


@pytest.mark.parametrize("answer", [b"450 4.2.0 not now", b"550 5.1.1 never"])
async def test_what_is_wrong_with_a_mail_holds_nothing_up(answer: bytes) -> None:
    async with scripted({b"RCPT": answer + b"\r\n"}) as port:
        bench = Bench(port)
        reply = await bench.send()
        assert reply.code == int(answer[:3])
        assert not bench.it.blames_relay(reply)
        assert bench.it.held_until == 0.0


async def test_another_configuration_is_tried_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted({}) as port:
        pass
    bench = Bench(port)
    await bench.send()
    assert bench.it.held_until > bench.now
    bench.it.swap(bench.config, None, None, "mx.example")
    assert bench.it.held_until == 0.0
    assert bench.it.configured
    bench.it.swap(None, None, None, "mx.example")
    assert bench.it.held_until == math.inf
    assert not bench.it.configured
    assert (await bench.send()).code == 451
    assert caplog.messages[-1] == (
        "relay for bounces: it was removed; queued mails wait for another until they expire"
    )


async def test_only_so_many_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_sender, "MOST", 1)
    async with running() as relay:
        bench = Bench(relay.port)
        first, second = await asyncio.gather(bench.send(), bench.send())
        assert (first.code, second.reason) == (250, "RelayBusy")
        assert bench.it.blames_relay(second)
        assert bench.it.held_until == 0.0


async def test_a_fault_of_ours_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Reply:
        raise ZeroDivisionError

    monkeypatch.setattr(relay_sender, "relay", broken)
    bench = Bench(1)
    reply = await bench.send()
    assert (reply.code, reply.reason) == (451, "InternalError")
    assert "handing a mail to the relay failed" in caplog.text


async def test_closing_waits_for_what_is_under_way() -> None:
    async with running() as relay:
        bench = Bench(relay.port)
        sending = asyncio.ensure_future(bench.send())
        await asyncio.sleep(0)
        await bench.it.close(5.0)
        assert (await sending).code == 250
