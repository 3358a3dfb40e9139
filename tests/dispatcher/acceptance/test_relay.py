from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from tests.dispatcher.smtp.support import running, scripted
from tubepost_api.config import DeliveryConfig, DispatcherConfig, ListenerConfig
from tubepost_api.config_relay import RelayConfig
from tubepost_credentials.throwaway import make_ca, make_server_certificate
from tubepost_credentials.tls import client_context, server_context
from tubepost_dispatcher.acceptance import relay as module
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.acceptance.relay import MailRelay
from tubepost_dispatcher.delivery.domain import Domain, Domains
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Recipient, SessionFacts, Transaction

MAIL = b"Subject: x\r\n\r\nbody\r\n"
DOMAIN = Domain(DeliveryConfig(), [], None)


class Nobody:
    """The listener's side, which is not asked here."""

    def transaction_done(self, transaction: Transaction[Any], reply: Reply) -> None:
        raise NotImplementedError


def active(port: int) -> ActiveConfig:
    config = DispatcherConfig(
        name="alerts",
        listener=ListenerConfig(hostname="mx.test"),
        entries=(),
        routes={},
        passthru=RelayConfig(host="127.0.0.1", port=port, timeout=5.0),
    )
    return ActiveConfig(config, Domains(DomainLookup(()), ()), None)


def transaction(*to: str, content: bytes = MAIL) -> Transaction[Domain]:
    recipients = [Recipient(one, "push.example", DOMAIN) for one in to or ("x@push.example",)]
    return Transaction(Nobody(), SessionFacts("192.0.2.1", 1), "id", "a@b.example", recipients, content)


async def hand_over(
    mail: MailRelay, port: int, of: Transaction[Domain] | None = None, *, remember: bool = False
) -> Reply:
    done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    of = of or transaction()
    mail.hand_over(active(port), of, of.recipients, MAIL, done.set_result, remember=remember)
    assert not done.done()
    async with asyncio.timeout(10):
        return await done


@pytest.mark.parametrize(
    ("said", "reply", "result"),
    [
        (b"250 2.0.0 Ok: queued as 1", Reply(250, "2.0.0", "Relay: Ok: queued as 1"), "accepted"),
        (b"550 5.7.1 no", Reply(550, "5.7.1", "Relay: no", "RelayRejected"), "rejected"),
        (b"451 4.2.0 later", Reply(451, "4.2.0", "Relay: later", "RelayDeferred"), "deferred"),
    ],
)
def test_the_relays_word_is_said_once_and_counted(said: bytes, reply: Reply, result: str) -> None:
    metrics = Metrics()

    async def main() -> None:
        async with scripted({b".": said + b"\r\n"}) as port:
            assert await hand_over(MailRelay(metrics), port) == reply

    asyncio.run(main())
    assert metrics.passthru_messages.labels(result)._value.get() == 1


def test_a_repetition_is_remembered_by_envelope_and_content() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with scripted({}) as port:
            assert (await hand_over(mail, port, remember=True)).text == "Relay: queued as 1"
        async with scripted({}, b"554 gone\r\n") as port:
            again = await hand_over(mail, port, remember=True)
            assert again == Reply(250, "2.0.0", "Taken by the relay before")
            assert (await hand_over(mail, port)).code == 451
            assert (await hand_over(mail, port, transaction("y@push.example"), remember=True)).code == 451

    asyncio.run(main())


def test_a_repetition_goes_to_the_recipients_who_have_not_had_it() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with running() as it:
            first, second = transaction("x@push.example"), transaction("y@push.example", "x@push.example")
            for message in (first, second):
                assert (await hand_over(mail, it.port, message, remember=True)).code == 250
            got = [[to.address for to in taken.recipients] for taken in it.acceptance.accepted]
            assert got == [["x@push.example"], ["y@push.example"]]

    asyncio.run(main())


def test_a_mail_goes_to_all_of_its_recipients_or_to_none() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with running() as it:
            reply = await hand_over(mail, it.port, transaction("x@push.example", "y@unknown.example"))
            assert (reply.code, reply.reason) == (550, "RelayRejected")
            assert not it.acceptance.accepted
        async with scripted({}) as port:
            both = transaction("x@push.example", "y@push.example")
            assert (await hand_over(mail, port, both)).text == "Relay: queued as 1"

    asyncio.run(main())


def test_a_refusal_is_not_remembered() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with scripted({b"MAIL": b"550 no\r\n"}) as port:
            assert (await hand_over(mail, port, remember=True)).code == 550
        async with scripted({}) as port:
            assert (await hand_over(mail, port, remember=True)).text == "Relay: queued as 1"

    asyncio.run(main())


def test_a_fault_of_ours_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object, **more: object) -> Reply:
        raise RuntimeError("secret")

    monkeypatch.setattr(module, "relay", fail)
    reply = asyncio.run(hand_over(MailRelay(Metrics()), 1))
    assert reply == Reply(451, "4.3.0", "Internal error, try again later", "InternalError")


def test_closing_waits_and_then_ends_what_is_under_way() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with scripted({b"MAIL": b"HANG"}) as port:
            waiting = asyncio.create_task(hand_over(mail, port))
            await asyncio.sleep(0.05)
            await mail.close(0.01)
            assert not waiting.done()
            waiting.cancel()

    asyncio.run(main())


def test_a_relay_is_known_by_authorities_of_its_own() -> None:
    ca = make_ca()
    made = make_server_certificate(ca, ("127.0.0.1",))
    server = server_context(made.certificate_pem, made.private_key_pem)

    async def send(port: int, tls: ssl.SSLContext) -> Reply:
        config = active(port).config
        assert config.passthru is not None
        passthru = config.passthru.model_copy(update={"tls": "Tls"})
        secure = ActiveConfig(
            config.model_copy(update={"passthru": passthru}), Domains(DomainLookup(()), ()), None, tls
        )
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        MailRelay(Metrics()).hand_over(secure, of := transaction(), of.recipients, MAIL, done.set_result)
        async with asyncio.timeout(10):
            return await done

    async def main() -> None:
        async with scripted({b".": b"250 2.0.0 Ok\r\n"}, tls=server) as port:
            assert (await send(port, client_context(authorities=ca.certificate_pem))).code == 250
            stranger = await send(port, client_context(authorities=make_ca().certificate_pem))
            assert (stranger.code, stranger.reason) == (451, "RelayTlsFailed")
            nobody = await send(port, client_context())
            assert (nobody.code, nobody.reason) == (451, "RelayTlsFailed")

    asyncio.run(main())


def test_another_message_with_the_same_email_part_is_a_new_mail(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        first, second = transaction(content=b"message 1"), transaction(content=b"message 2")
        async with scripted({}) as port:
            for message in (first, second):
                assert (await hand_over(mail, port, message, remember=True)).text == "Relay: queued as 1"
            with caplog.at_level("INFO"):
                again = await hand_over(mail, port, first, remember=True)
            assert again.text == "Taken by the relay before"

    asyncio.run(main())
    assert (
        "message id: its e-mail part is not sent again to 1 of 1 recipients, the relay took it 0 s ago with "
        "message id"
    ) in caplog.text


def test_what_has_its_final_answer_is_forgotten() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with scripted({}) as port:
            for _ in range(2):
                done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
                under_way = mail.hand_over(
                    active(port), of := transaction(), of.recipients, MAIL, done.set_result, remember=True
                )
                assert (await done).text == "Relay: queued as 1"
                mail.forget(under_way)

    asyncio.run(main())


def test_memory_ends_in_time_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        monkeypatch.setattr(module, "REMEMBERED", 3)
        mail = MailRelay(Metrics(), clock=lambda: now)
        async with scripted({}) as port:
            for number in range(5):
                await hand_over(mail, port, transaction(content=b"%d" % number), remember=True)
            assert len(mail._taken) == 3
            now = module.REMEMBER_FOR
            again = await hand_over(mail, port, transaction(content=b"4"), remember=True)
            assert again.text == "Relay: queued as 1"
            assert len(mail._taken) == 1

    asyncio.run(main())


@pytest.mark.parametrize(("bound", "value"), [("MAX_HAND_OVERS", 2), ("MAX_OCTETS", 4 * len(MAIL) + 1)])
def test_hand_overs_are_bounded(monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    monkeypatch.setattr(module, bound, value)
    metrics = Metrics()

    async def main() -> None:
        mail = MailRelay(metrics)
        async with scripted({b"MAIL": b"HANG"}) as port:
            waiting = [asyncio.create_task(hand_over(mail, port)) for _ in range(2)]
            await asyncio.sleep(0.05)
            reply = await hand_over(mail, port)
            assert (reply.code, reply.enhanced, reply.reason) == (451, "4.4.5", "RelayBusy")
            await mail.close(0.0)
            for task in waiting:
                task.cancel()
        async with scripted({}) as port:
            assert (await hand_over(mail, port)).code == 250

    asyncio.run(main())
    assert metrics.passthru_messages.labels("deferred")._value.get() == 1


def test_one_message_of_any_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OCTETS", 1)

    async def main() -> None:
        async with scripted({}) as port:
            assert (await hand_over(MailRelay(Metrics()), port)).code == 250

    asyncio.run(main())


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_withdrawn_hand_over_makes_no_mail(turns: int) -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with scripted({b"MAIL": b"HANG"}) as port:
            done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            under_way = mail.hand_over(
                active(port), of := transaction(), of.recipients, MAIL, done.set_result
            )
            for _ in range(turns):
                await asyncio.sleep(0.01)
            under_way.withdraw()
            async with asyncio.timeout(5):
                assert (await done).reason == "ClientGone"
            await asyncio.sleep(0)
            assert (len(mail._tasks), mail._octets) == (0, 0)

    asyncio.run(main())


def test_a_hand_over_whose_mail_is_complete_goes_on() -> None:
    async def main() -> None:
        mail = MailRelay(Metrics())
        async with scripted({b".": b""}) as port:
            done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            under_way = mail.hand_over(
                active(port), of := transaction(), of.recipients, MAIL, done.set_result
            )
            for _ in range(500):
                if under_way._progress.complete:
                    break
                await asyncio.sleep(0.01)
            assert under_way._progress.complete
            under_way.withdraw()
            await asyncio.sleep(0.05)
            assert not done.done()
            await mail.close(0.0)

    asyncio.run(main())
