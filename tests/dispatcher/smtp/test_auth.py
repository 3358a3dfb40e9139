from __future__ import annotations

import asyncio
import base64
import logging
import smtplib
import ssl

import pytest

from tests.dispatcher.smtp.conftest import Runner, TlsPair
from tests.dispatcher.smtp.support import (
    DELIVERED,
    ENVELOPE,
    ENVELOPE_OK,
    MESSAGE,
    Client,
    Recorder,
    listener,
    running,
)
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.config import EffectiveConfig

USERS = {"app": "p\u00e4ss w\u00f6rd", "other": "x"}
PLAIN_AUTH = AuthConfig(secret="s", require_tls=False)


def plain(name: str, password: str) -> bytes:
    return base64.b64encode(f"\0{name}\0{password}".encode())


async def deliver(client: Client) -> None:
    await client.send(ENVELOPE)
    for _ in range(3):
        assert (await client.reply())[:1] in b"23"
    await client.send(MESSAGE + b".\r\n")
    assert await client.reply() == DELIVERED


def test_starttls_starts_over(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.REQUIRED), tls=tls.server) as it:
            client = await it.greeted()
            assert (
                await client.command(b"MAIL FROM:<>") == b"530 5.7.0 Must issue a STARTTLS command first\r\n"
            )
            assert (await client.command(b"STARTTLS now")).startswith(b"501 ")
            await client.starttls(tls.client)
            assert (await client.command(b"MAIL FROM:<>")).startswith(b"503 5.5.1 Send EHLO")
            ehlo = await client.command(b"EHLO secure.example")
            assert b"STARTTLS" not in ehlo
            assert (await client.command(b"STARTTLS")).startswith(b"503 5.5.1 ")
            await deliver(client)
            assert await client.command(b"QUIT") == b"221 2.0.0 Bye\r\n"
            await client.close()
            (transaction,) = it.acceptance.accepted
            assert transaction.session.tls in ("TLSv1.2", "TLSv1.3")
            assert transaction.session.helo == "secure.example"
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_commands_injected_before_tls_are_discarded(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            client = await it.greeted()
            await client.send(b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@b.example>\r\n")
            assert (await client.reply()).startswith(b"220 2.0.0 ")
            await client.writer.start_tls(tls.client, server_hostname="localhost")
            # Were the injected lines read, their replies would come first.
            assert (await client.command(b"NOOP")) == b"250 2.0.0 OK\r\n"
            assert (await client.command(b"RCPT TO:<x@push.example>")).startswith(b"503 ")
            await client.close()

    run(main())


def test_a_client_that_stalls_in_the_handshake_is_cut(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        config = listener(starttls=StartTlsMode.OPTIONAL, tls_handshake_timeout=0.05)
        async with running(config, tls=tls.server) as it:
            client = await it.greeted()
            assert (await client.command(b"STARTTLS")).startswith(b"220 ")
            await client.rest()
            await it.until(lambda: it.server.sessions == 0)
            await it.until(lambda: it.metrics.smtp_rejections.labels("tls", "0")._value.get() == 1)
            await client.close()

    run(main())


def test_draining_cuts_a_handshake(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            client = await it.greeted()
            assert (await client.command(b"STARTTLS")).startswith(b"220 ")
            assert await it.server.drain(0.01) == 1
            assert await client.rest() == b""
            assert it.server.sessions == 0

    run(main())


def test_draining_waits_for_a_handshake(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            client = await it.greeted()
            assert (await client.command(b"STARTTLS")).startswith(b"220 ")
            draining = asyncio.create_task(it.server.drain(30))
            await client.writer.start_tls(tls.client, server_hostname="localhost")
            assert await client.reply() == b"421 4.3.2 Shutting down, try again\r\n"
            assert await draining == 0

    run(main())


def test_plaintext_in_place_of_a_handshake(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            client = await it.greeted()
            assert (await client.command(b"STARTTLS")).startswith(b"220 ")
            await client.send(b"MAIL FROM:<a@b.example>\r\n")
            assert b"250" not in await client.rest()
            await it.until(lambda: it.server.sessions == 0)
            await client.close()

    run(main())


def test_a_client_that_leaves_amid_the_handshake(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            client = await it.greeted()
            assert (await client.command(b"STARTTLS")).startswith(b"220 ")
            await client.send(b"\x16\x03\x01")
            await client.close()
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_a_client_that_vanishes_within_tls_is_abandoned(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(listener(starttls=StartTlsMode.OPTIONAL), acceptance, tls=tls.server) as it:
            client = await it.greeted()
            await client.starttls(tls.client)
            await client.command(b"EHLO c")
            await client.send(ENVELOPE)
            for _ in range(3):
                await client.reply()
            await client.send(MESSAGE + b".\r\n")
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            await client.close()
            await asyncio.wait_for(acceptance.withdrawn.wait(), 10)
            acceptance.accepted[0].reply(Reply(250, "2.0.0", "too late"))
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_auth_waits_for_tls(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        config = listener(starttls=StartTlsMode.OPTIONAL, auth=AuthConfig(secret="s"))
        async with running(config, tls=tls.server, users=USERS) as it:
            client = await it.greeted()
            assert (await client.command(b"AUTH PLAIN " + plain("app", USERS["app"]))).startswith(
                b"538 5.7.11 "
            )
            await client.starttls(tls.client)
            await client.command(b"EHLO c")
            assert (await client.command(b"MAIL FROM:<>")).startswith(b"530 5.7.0 ")
            assert (await client.command(b"AUTH PLAIN " + plain("app", USERS["app"]))).startswith(
                b"235 2.7.0 "
            )
            assert (await client.command(b"AUTH PLAIN " + plain("app", USERS["app"]))).startswith(b"503 ")
            await deliver(client)
            await client.close()
            assert it.acceptance.accepted[0].session.user == "app"

    run(main())


def test_every_form_of_auth(run: Runner) -> None:
    name, password = base64.b64encode(b"app"), base64.b64encode(USERS["app"].encode())
    forms = [
        [b"AUTH PLAIN " + plain("app", USERS["app"])],
        [b"AUTH PLAIN", plain("app", USERS["app"])],
        [b"auth login", name, password],
        [b"AUTH LOGIN " + name, password],
    ]

    async def main() -> None:
        async with running(listener(auth=PLAIN_AUTH), users=USERS) as it:
            for form in forms:
                client = await it.greeted()
                for line in form[:-1]:
                    assert (await client.command(line)).startswith(b"334 ")
                assert await client.command(form[-1]) == b"235 2.7.0 Authentication successful\r\n"
                await deliver(client)
                await client.close()
                assert it.acceptance.accepted[-1].session.user == "app"

    run(main())


def test_smtplib_logs_in_by_each_mechanism(run: Runner) -> None:
    def send(port: int) -> None:
        for method in ("auth_plain", "auth_login"):
            with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                client.ehlo()
                client.user, client.password = "other", "x"
                assert client.auth(method[5:].upper(), getattr(client, method))[0] == 235

    async def main() -> None:
        async with running(listener(auth=PLAIN_AUTH), users=USERS) as it:
            await asyncio.to_thread(send, it.port)

    run(main())


def test_wrong_passwords_are_counted(run: Runner, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with running(listener(auth=PLAIN_AUTH), users=USERS) as it:
            client = await it.greeted()
            for wrong in (plain("app", "guess-1"), plain("nobody", "guess-2"), plain("app", "guess-3")):
                assert (await client.command(b"AUTH PLAIN " + wrong)).startswith(b"535 5.7.8 ")
            assert await client.rest() == b"421 4.7.0 Too many failed authentications\r\n"
            await client.close()
            assert it.metrics.smtp_rejections.labels("auth", "535")._value.get() == 3

    run(main())
    assert "guess" not in caplog.text
    assert base64.b64encode(b"guess").decode()[:5] not in caplog.text


def test_broken_auth_exchanges(run: Runner) -> None:
    async def main() -> None:
        async with running(listener(auth=PLAIN_AUTH), users=USERS) as it:
            client = await it.greeted()
            assert (await client.command(b"AUTH PLAIN !!!")).startswith(b"501 5.5.2 ")
            assert (await client.command(b"AUTH PLAIN " + base64.b64encode(b"abc"))).startswith(b"501 5.5.2 ")
            assert (await client.command(b"AUTH LOGIN")).startswith(b"334 ")
            assert (await client.command(b"*")).startswith(b"501 5.7.0 ")
            assert (await client.command(b"AUTH PLAIN")).startswith(b"334 ")
            assert (await client.command(b"\xff")).startswith(b"501 5.5.2 ")
            assert (await client.command(b"NOOP")) == b"250 2.0.0 OK\r\n"
            assert (await client.command(b"AUTH PLAIN")).startswith(b"334 ")
            await client.send(b"A" * 70_000)
            assert await client.rest() in (b"500 5.5.6 Authentication exchange line too long\r\n", b"")
            await client.close()
            client = await it.greeted()
            assert (await client.command(b"AUTH PLAIN")).startswith(b"334 ")
            await client.close()
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_a_fault_in_auth_is_451(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> bool:
        raise OSError("/secret/path")

    monkeypatch.setattr(EffectiveConfig, "password_matches", fail)

    async def main() -> None:
        async with running(listener(auth=PLAIN_AUTH), users=USERS) as it:
            client = await it.greeted()
            reply = await client.command(b"AUTH PLAIN " + plain("app", "x"))
            assert reply == b"451 4.3.0 Internal error, try again later\r\n"
            assert await client.command(b"NOOP") == b"250 2.0.0 OK\r\n"
            await client.close()

    run(main())


def test_a_user_that_is_taken_away_has_to_authenticate_again(run: Runner) -> None:
    async def main() -> None:
        config = listener(auth=PLAIN_AUTH)
        async with running(config, users=USERS) as it:
            client = await it.greeted()
            await client.command(b"AUTH PLAIN " + plain("other", "x"))
            it.server.update(config, None, {**USERS, "app": "changed"}, it.acceptance)
            await deliver(client)
            it.server.update(config, None, {"other": "changed"}, it.acceptance)
            assert (await client.command(b"MAIL FROM:<>")).startswith(b"530 5.7.0 ")
            assert (await client.command(b"AUTH PLAIN " + plain("other", "changed"))).startswith(b"235 ")
            await deliver(client)
            await client.close()

    run(main())


def test_an_idle_client_amid_auth_is_closed(run: Runner) -> None:
    async def main() -> None:
        async with running(listener(auth=PLAIN_AUTH, command_timeout=0.1), users=USERS) as it:
            client = await it.greeted()
            assert (await client.command(b"AUTH PLAIN")).startswith(b"334 ")
            assert (await client.rest()).startswith(b"421 4.4.2 ")
            await client.close()
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_tls_replies_of_one_chunk_arrive(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.OPTIONAL), tls=tls.server) as it:
            client = await it.greeted()
            await client.starttls(tls.client)
            await client.send(b"EHLO c\r\n" + ENVELOPE)
            assert (await client.reply()).endswith(b"250 HELP\r\n")
            assert b"".join([await client.reply() for _ in range(3)]) == ENVELOPE_OK
            await client.send(MESSAGE + b".\r\nQUIT\r\n")
            assert await client.reply() == DELIVERED
            assert await client.reply() == b"221 2.0.0 Bye\r\n"
            await client.close()

    run(main())


def test_a_new_certificate_serves_the_next_handshake(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        config = listener(starttls=StartTlsMode.OPTIONAL)
        async with running(config) as it:
            client = await it.greeted()
            assert (await client.command(b"STARTTLS")).startswith(b"454 4.7.0 ")
            it.server.update(config, tls.server, None, it.acceptance)
            await client.starttls(tls.client)
            assert isinstance(client.writer.get_extra_info("ssl_object"), ssl.SSLObject) or (
                client.writer.get_extra_info("sslcontext") is not None
            )
            await client.close()

    run(main())
