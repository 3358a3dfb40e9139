from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from tests.dispatcher.smtp.conftest import Runner, TlsPair
from tests.dispatcher.smtp.support import (
    DELIVERED,
    ENVELOPE,
    ENVELOPE_OK,
    MESSAGE,
    Recorder,
    deliver,
    listener,
    running,
)
from tubepost_api.config import StartTlsMode
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.starttls import why


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


def test_why_a_handshake_failed() -> None:
    with_reason = ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1006)")
    with_reason.reason = "NO_SHARED_CIPHER"
    assert why(with_reason) == "no shared cipher"
    assert why(
        ConnectionAbortedError("SSL handshake is taking longer than 30 seconds: aborting the connection")
    ) == ("the client did not finish it in time")
    assert why(ConnectionResetError(104, "reset")) == "the client closed the connection"
    assert why(OSError(9, "Bad file descriptor")) == "[Errno 9] Bad file descriptor"
    assert why(OSError()) == "OSError"


def test_draining_does_not_wait_for_a_client_that_does_not_read(
    run: Runner, tls: TlsPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle client answers neither the 421 nor the end of TLS."""
    monkeypatch.setattr("tubepost_dispatcher.smtp.starttls.GOODBYE", 0.05)
    monkeypatch.setattr("tubepost_dispatcher.smtp.timeouts.LINGER", 1e9)

    async def main() -> None:
        async with running(listener(starttls=StartTlsMode.REQUIRED), tls=tls.server) as it:
            client = await it.greeted()
            await client.starttls(tls.client)
            assert (await client.command(b"EHLO idle.example")).startswith(b"250")
            transport: Any = client.writer.transport
            transport.pause_reading()
            # The loop's own limit for the end of TLS is 30 s.
            async with asyncio.timeout(25):
                assert await it.server.drain(1_000) == 0
            transport.resume_reading()
            await client.close()

    run(main())
