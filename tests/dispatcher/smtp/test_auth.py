from __future__ import annotations

import asyncio
import base64
import logging
import smtplib
from collections.abc import Iterator

import pytest

from tests.dispatcher.smtp.conftest import Runner, TlsPair
from tests.dispatcher.smtp.support import (
    deliver,
    listener,
    running,
)
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.auth import Authentication
from tubepost_dispatcher.smtp.config import EffectiveConfig

USERS = {"app": "p\u00e4ss w\u00f6rd", "other": "x"}
PLAIN_AUTH = AuthConfig(secret="s", require_tls=False)


def plain(name: str, password: str) -> bytes:
    return base64.b64encode(f"\0{name}\0{password}".encode())


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


class TestExchange:
    """AUTH without a session: replies are returned, no task runs."""

    @pytest.fixture
    def auth(self) -> Iterator[Authentication]:
        loop = asyncio.new_event_loop()
        yield Authentication("mx.push.example", loop)
        loop.close()

    @staticmethod
    def check(name: bytes, password: bytes) -> bool:
        return (name, password) == (b"app", b"secret")

    def test_an_initial_response_ends_it_in_one_step(self, auth: Authentication) -> None:
        assert auth.start("PLAIN", plain("app", "secret").decode(), self.check) == [
            b"235 2.7.0 Authentication successful\r\n"
        ]
        assert (auth.pending, auth.user, auth.failures) == (False, b"app", 0)

    def test_it_waits_for_lines(self, auth: Authentication) -> None:
        assert auth.start("LOGIN", "", self.check) == [b"334 " + base64.b64encode(b"Username:") + b"\r\n"]
        assert (auth.pending, auth.user) == (True, None)
        assert auth.advance(base64.b64encode(b"app") + b"\r\n") == [
            b"334 " + base64.b64encode(b"Password:") + b"\r\n"
        ]
        assert auth.advance(base64.b64encode(b"secret") + b"\r\n")[0].startswith(b"235 ")
        assert (auth.pending, auth.user) == (False, b"app")

    def test_failures_add_up_and_the_user_is_forgotten(self, auth: Authentication) -> None:
        auth.start("PLAIN", plain("app", "secret").decode(), self.check)
        for count in (1, 2):
            assert auth.start("PLAIN", plain("app", "no").decode(), self.check)[0].startswith(b"535 5.7.8 ")
            assert (auth.user, auth.failures) == (None, count)
        assert auth.start("PLAIN", "", self.check)[0].startswith(b"334 ")
        assert auth.advance(b"*\r\n")[0].startswith(b"501 5.7.0 ")
        assert (auth.pending, auth.failures) == (False, 2)

    @pytest.mark.parametrize(
        ("initial", "lines", "reply"),
        [
            (plain("app", "no").decode(), [], replies.AUTH_FAILED),
            ("!", [], replies.AUTH_NOT_BASE64),
            ("", [b"!\r\n"], replies.AUTH_NOT_BASE64),
            ("YWJj", [], replies.AUTH_MALFORMED),
            ("", [b"*\r\n"], replies.AUTH_ABORTED),
        ],
    )
    def test_refusals_are_rows_of_the_catalogue(
        self, auth: Authentication, initial: str, lines: list[bytes], reply: bytes
    ) -> None:
        out = auth.start("PLAIN", initial, self.check)
        for line in lines:
            out = auth.advance(line)
        assert out == [reply]

    def test_a_fault_ends_it(self, auth: Authentication) -> None:
        def fail(name: bytes, password: bytes) -> bool:
            raise OSError

        with pytest.raises(OSError):
            auth.start("PLAIN", plain("app", "x").decode(), fail)
        assert not auth.pending
        assert auth.start("PLAIN", plain("app", "secret").decode(), self.check)[0].startswith(b"235 ")

    def test_it_can_be_abandoned(self, auth: Authentication) -> None:
        auth.abandon()
        auth.start("LOGIN", "", self.check)
        auth.abandon()
        assert not auth.pending
