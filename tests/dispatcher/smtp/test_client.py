from __future__ import annotations

import asyncio
import contextlib
import mmap
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.smtp.conftest import Runner, TlsPair
from tests.dispatcher.smtp.support import Recorder, listener, running, scripted
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.acceptance.relay import MAX_HAND_OVERS
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.client import MAX_RECEIVED, Progress, received_field, relay
from tubepost_dispatcher.transaction import SessionFacts

MAIL = b"Subject: x\r\n\r\nbody\r\n"


async def send(port: int, content: Any = MAIL, **more: Any) -> Reply:
    settings: dict[str, Any] = {"host": "127.0.0.1", "port": port, "timeout": 5.0}
    settings.update(more.pop("config", {}))
    return await relay(
        RelayConfig(**settings),
        more.pop("auth", None),
        more.pop("mail_from", "a@b.example"),
        [(to, more.get("notify")) for to in more.pop("recipients", ["x@push.example"])],
        content,
        hostname="mx.push.example",
        **{name: value for name, value in more.items() if name != "notify"},
    )


def test_a_mail_arrives_with_our_trace_field(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            facts = SessionFacts("192.0.2.1", 1, helo="evil)\r\nX: y", tls="TLSv1.3", user="app")
            result = await send(
                it.port, session=facts, message_id="abc", dsn={"RET": "HDRS"}, notify={"NOTIFY": "NEVER"}
            )
            (transaction,) = it.acceptance.accepted
            assert result == Reply(250, "2.0.0", f"Relay: Delivered id={transaction.message_id}")
            assert transaction.mail_from == "a@b.example"
            assert transaction.dsn == {"RET": "HDRS"}
            assert transaction.recipients[0].dsn == {"NOTIFY": "NEVER"}
            assert transaction.session.helo == "mx.push.example"
            content = bytes(transaction.content)
            assert re.match(
                rb"Received: from evil\?\?\?X:\?y \(\[192\.0\.2\.1\]\)\r\n"
                rb"\tby mx\.push\.example with ESMTPSA id abc;\r\n\t[A-Z][a-z]{2}, [ -~]+\r\n",
                content,
            )
            assert content.endswith(b"\r\n" + MAIL)

    run(main())


def test_the_null_sender_and_an_mmap(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mail"
    path.write_bytes(MAIL)

    async def main() -> None:
        async with running() as it:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                assert (await send(it.port, content, mail_from="")).code == 250
            assert it.acceptance.accepted[0].mail_from == ""

    run(main())


def test_what_leaves_holds_no_bare_line_end_and_no_nul(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            dirty = b"Subject: x\n\r\n\rbody\r\n.\0\r\nMAIL FROM:<evil@example>\n.\n\r.\r\n..\r\r\nend"
            assert (await send(it.port, dirty)).code == 250
            (content,) = it.acceptance.contents
            assert b"\0" not in content
            assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
            assert b"\r\n.\r\nMAIL FROM:<evil@example>\r\n.\r\n\r\n.\r\n..\r\n\r\nend\r\n" in content

    run(main())


def test_starttls_and_auth(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        config = listener(starttls=StartTlsMode.REQUIRED, auth=AuthConfig(secret="s"))
        async with running(config, tls=tls.server, users={"app": "secret"}) as it:
            secure = {"tls": "StartTls", "host": "localhost"}
            result = await send(it.port, config=secure, auth=("app", "secret"), tls=tls.client)
            assert result.code == 250
            (transaction,) = it.acceptance.accepted
            assert (transaction.session.user, bool(transaction.session.tls)) == ("app", True)
            wrong = await send(it.port, config=secure, auth=("app", "wrong"), tls=tls.client)
            assert wrong == Reply(451, "4.7.0", "Relay refuses our authentication", "RelayAuthFailed")
            none = await send(it.port, config=secure, tls=tls.client)
            assert (none.code, none.reason) == (451, "RelayDeferred")
            untrusted = await send(it.port, config=secure, auth=("app", "secret"))
            assert (untrusted.code, untrusted.enhanced) == (451, "4.7.5")
            unchecked = await send(it.port, config={**secure, "verify": False}, auth=("app", "secret"))
            assert unchecked.code == 250

    run(main())


def test_tls_from_the_start(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"554 5.3.2 not today\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.server)
        port = server.sockets[0].getsockname()[1]
        result = await send(port, config={"tls": "Tls", "host": "localhost"}, tls=tls.client)
        assert result == Reply(451, "4.4.1", "Relay refuses connections: 554", "RelayRefusesConnections")
        distrust = await send(port, config={"tls": "Tls"}, tls=ssl.create_default_context())
        assert distrust.enhanced == "4.7.5"
        server.close()
        await server.wait_closed()

    run(main())


def test_starttls_that_is_not_offered_is_deferred(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            result = await send(it.port, config={"tls": "StartTls"})
            assert (result.code, result.enhanced) == (451, "4.7.0")
            assert not it.acceptance.accepted

    run(main())


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({b"MAIL": b"550 5.7.1 no\r\n"}, Reply(550, "5.7.1", "Relay: no", "RelayRejected")),
        (
            {b"MAIL": b"530 5.7.0 auth first\r\n"},
            Reply(451, "4.0.0", "Relay: auth first", "RelayDeferred"),
        ),
        ({b"RCPT": b"451 4.2.0 grey\r\n"}, Reply(451, "4.2.0", "Relay: grey", "RelayDeferred")),
        ({b"RCPT": b"550 nobody\r\n"}, Reply(550, "5.0.0", "Relay: nobody", "RelayRejected")),
        ({b"DATA": b"421 bye\r\n"}, Reply(451, "4.0.0", "Relay: bye", "RelayDeferred")),
        ({b".": b"554 5.6.0 \x07bad\xff\r\n"}, Reply(554, "5.6.0", "Relay: ?bad?", "RelayRejected")),
        (
            {b".": b"554-5.6.0 a\r\n554 5.6.0 b\r\n"},
            Reply(554, "5.6.0", "Relay: a 5.6.0 b", "RelayRejected"),
        ),
        (
            {b".": b"250 " + b"x" * 400 + b"\r\n"},
            Reply(250, "2.0.0", "Relay: " + "x" * 193),
        ),
        (
            {b"DATA": b"250 what\r\n"},
            Reply(451, "4.4.0", "Relay answers out of order: 250", "RelayOutOfOrder"),
        ),
        ({b"QUIT": b"CLOSE"}, Reply(250, "2.0.0", "Relay: queued as 1")),
        ({b"MAIL": b"CLOSE"}, Reply(451, "4.4.2", "Relay closed the connection", "RelayConnectionLost")),
        ({b"EHLO": b"502 what\r\n"}, Reply(250, "2.0.0", "Relay: queued as 1")),
        (
            {b"EHLO": b"502 what\r\n", b"HELO": b"550 no\r\n"},
            Reply(451, "4.4.1", "Relay refuses connections: 550", "RelayRefusesConnections"),
        ),
    ],
)
def test_answers_of_the_relay(run: Runner, replies: Mapping[bytes, bytes], expected: Reply) -> None:
    async def main() -> None:
        async with scripted(replies) as port:
            assert await send(port) == expected

    run(main())


def test_a_relay_that_is_silent_or_away(run: Runner) -> None:
    async def main() -> None:
        async with scripted({b"MAIL": b"HANG"}) as port:
            result = await send(port, config={"timeout": 0.1})
            assert result == Reply(451, "4.4.2", "Relay does not answer in time", "RelayTimeout")
        async with scripted({}, b"") as port:
            assert (await send(port, config={"timeout": 0.1})).enhanced == "4.4.2"
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        result = await send(port)
        assert result == Reply(451, "4.4.1", "Relay cannot be reached", "RelayUnreachable")

    run(main())


def test_all_recipients_or_none(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            result = await send(it.port, recipients=["x@push.example", "y@unknown.example"])
            assert (result.code, result.reason) == (550, "RelayRejected")
            assert not it.acceptance.accepted

    run(main())


def test_a_loop_through_one_worker_ends_before_its_hand_overs_run_out() -> None:
    assert MAX_RECEIVED + 1 < MAX_HAND_OVERS


def test_loops_are_refused() -> None:
    async def main() -> None:
        content = b"Received: from x\r\n\tby y\r\n" * (MAX_RECEIVED + 1) + b"\r\nReceived: no\r\n"
        result = await send(1, content)
        assert result == Reply(554, "5.4.6", "Too many hops, the message loops", "MailLoop")

    asyncio.run(main())


def test_internationalised_mail(run: Runner) -> None:
    async def main() -> None:
        async with running(acceptance=Recorder()) as it:
            result = await send(it.port, mail_from="ü@b.example", smtputf8=True)
            assert result.code == 250
            transaction = it.acceptance.accepted[0]
            assert (transaction.smtputf8, transaction.mail_from) == (True, "ü@b.example")
            assert b"with UTF8SMTP" in bytes(transaction.content)
            await send(it.port, "Subject: x\r\n\r\nü\r\n".encode(), smtputf8=True)
            assert not it.acceptance.accepted[1].smtputf8
            assert it.acceptance.accepted[1].body_type == "8BITMIME"
        async with scripted({}) as port:
            result = await send(port, "Subject: ü\r\n\r\nx\r\n".encode(), smtputf8=True)
            assert (result.code, result.enhanced) == (550, "5.6.7")

    run(main())


def test_a_trace_field_without_a_client() -> None:
    field = received_field("mx.example", None, "", smtputf8=False)
    assert re.fullmatch(rb"Received: by mx\.example with ESMTP;\r\n\t[ -~]+\r\n", field)
    ipv6 = received_field("mx.example", SessionFacts("2001:db8::1", 1), "", smtputf8=False)
    assert b"from unknown ([IPv6:2001:db8::1])" in ipv6


LARGE = b"Subject: x\r\n\r\n" + b"..x\n.\r\n" * 300_000


def test_a_large_mail_arrives_whole(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            progress = Progress()
            assert (await send(it.port, memoryview(LARGE), progress=progress)).code == 250
            assert progress.complete
            (content,) = it.acceptance.contents
            assert bytes(content).partition(b"Subject:")[2] == LARGE[8:].replace(b"x\n", b"x\r\n")

    run(main())


@contextlib.asynccontextmanager
async def ends_early(reply: bytes, *, close: bool) -> AsyncIterator[int]:
    """A relay that reads 100 KB of the mail, says `reply`, and then reads no more, or closes the connection."""
    over = asyncio.Event()
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 hi\r\n")
            while not (await reader.readuntil(b"\n")).startswith(b"DATA"):
                writer.write(b"250 ok\r\n")
            writer.write(b"354 go\r\n")
            await reader.readexactly(100_000)
            writer.write(reply)
            await writer.drain()
            if not close:
                await over.wait()
            writer.close()
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_000)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        await ended.wait()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"552 5.3.4 too big\r\n", Reply(552, "5.3.4", "Relay: too big", "RelayRejected")),
        (b"452 4.3.1 full\r\n", Reply(452, "4.3.1", "Relay: full", "RelayDeferred")),
        (b"250 done\r\n", Reply(451, "4.4.0", "Relay answers out of order: 250", "RelayOutOfOrder")),
    ],
)
def test_an_answer_before_the_end_of_the_mail(run: Runner, said: bytes, expected: Reply, close: bool) -> None:
    async def main() -> None:
        progress = Progress()
        async with ends_early(said, close=close) as port:
            # More than the buffers of both sides hold.
            reply = await send(port, b"x" * 30_000_000, progress=progress, config={"timeout": 0.5})
        assert reply == expected
        assert not progress.complete

    run(main())


def test_a_relay_that_stops_reading_is_left_after_one_time_out(run: Runner) -> None:
    async def main() -> None:
        progress = Progress()
        async with ends_early(b"", close=False) as port, asyncio.timeout(3):
            reply = await send(port, b"x" * 30_000_000, progress=progress, config={"timeout": 0.2})
        assert reply.reason == "RelayTimeout"
        assert not progress.complete

    run(main())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("bad login app:Se.cret!", "Relay: bad login ***:***"),
        ("SE.CRET! and application", "Relay: *** and application"),
        ("AUTH PLAIN AGFwcABTZS5jcmV0IQ== failed", "Relay: AUTH PLAIN *** failed"),
        ("got U2UuY3JldCE= for YXBw", "Relay: got *** for ***"),
        ("<" + "Ab" * 32 + "@push.example> unknown", "Relay: <AbAbAbAb...@push.example> unknown"),
        ("x" * 150 + "Se.cret!", "Relay: " + "x" * 150 + "***"),
        ("x" * 190 + "Se.cret!", "Relay: " + "x" * 190 + "***"),
        ("x" * 180 + "ab" * 40, "Relay: " + "x" * 180 + "abababab..."),
    ],
)
def test_no_secret_and_no_token_comes_back_by_the_relay(run: Runner, said: str, expected: str) -> None:
    async def main() -> None:
        ehlo = b"250-hi\r\n250 AUTH PLAIN\r\n"
        replies = {b"EHLO": ehlo, b"AUTH": b"235 ok\r\n", b"MAIL": f"550 5.7.1 {said}\r\n".encode()}
        async with scripted(replies) as port:
            reply = await send(port, auth=("app", "Se.cret!"))
        assert reply.text == expected[:200]

    run(main())


@pytest.mark.parametrize("verb", [b"EHLO", b"MAIL", b"RCPT", b"DATA"])
def test_a_withdrawn_mail_goes_no_further(run: Runner, verb: bytes) -> None:
    """Also where the cancellation gets lost, since an answer comes in the same moment."""

    async def main() -> None:
        progress = Progress()
        seen: list[bytes] = []
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hi\r\n")
            while line := await reader.readline():
                seen.append(line[:4])
                progress.withdrawn = progress.withdrawn or line.startswith(verb)
                writer.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")
            writer.close()
            await writer.wait_closed()
            ended.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            with pytest.raises(asyncio.CancelledError):
                await send(server.sockets[0].getsockname()[1], progress=progress)
            await ended.wait()
        assert seen[-1] == verb
        assert not progress.complete

    run(main())
