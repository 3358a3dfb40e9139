from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from tests.dispatcher.http.support import DELIVERED, Acceptor, Client, effective, notification, site
from tubepost_credentials.throwaway import KeyPair, make_ca, make_server_certificate
from tubepost_credentials.tls import server_context


def tls_of(ca: KeyPair) -> ssl.SSLContext:
    pair = make_server_certificate(ca, ["localhost"])
    return server_context(pair.certificate_pem, pair.private_key_pem)


def trusting(*authorities: KeyPair) -> ssl.SSLContext:
    return ssl.create_default_context(
        cadata="".join(authority.certificate_pem.decode() for authority in authorities)
    )


async def test_tls_and_another_certificate_for_the_connections_to_come() -> None:
    first, second = make_ca(), make_ca()
    async with site(tls=tls_of(first)) as found, await Client.open(found.port, trusting(first)) as old:
        old.post(notification())
        assert (await old.json())[0] == 200
        assert found.acceptance.accepted[0].session.tls.startswith("TLSv1.")
        found.server.update(effective(found.acceptance, tls_of(second)))
        await found.server.serve([found.socket])
        async with await Client.open(found.port, trusting(second)) as client:
            client.post(notification())
            assert (await client.json())[0] == 200
        with pytest.raises(ssl.SSLError):
            await Client.open(found.port, trusting(first))
        old.post(notification())
        assert (await old.json())[0] == 200


async def test_a_configuration_goes_and_comes() -> None:
    async with site() as found, await Client.open(found.port) as client:
        found.server.update(None)
        client.post(notification())
        assert (await client.json())[1]["reason"] == "ServiceClosing"
        found.server.update(effective(found.acceptance, tokens={"app": "another-token-there-is"}))
        client.post(notification())
        assert (await client.json())[0] == 401
        client.post(notification(), authorization="Bearer another-token-there-is")
        assert (await client.json())[0] == 200


async def test_sockets_are_served_as_they_are_given() -> None:
    async with site() as found, await Client.open(found.port) as client:
        with socket.create_server(("127.0.0.1", 0)) as other:
            await found.server.serve([other])
            async with await Client.open(other.getsockname()[1]) as second:
                second.post(notification())
                assert (await second.json())[0] == 200
            client.post(notification())  # open connections go on
            assert (await client.json())[0] == 200
            await found.server.serve([found.socket])
        async with await Client.open(found.port) as third:
            third.post(notification())
            assert (await third.json())[0] == 200


async def test_draining_answers_what_is_open_and_ends() -> None:
    acceptance = Acceptor(None)
    async with (
        site(acceptance) as found,
        await Client.open(found.port) as busy,
        await Client.open(found.port) as idle,
    ):
        busy.post(notification())
        async with asyncio.timeout(10):
            await acceptance.came.wait()
        draining = asyncio.create_task(found.server.drain(10.0))
        assert await idle.ended() == b""
        acceptance.accepted[0].reply(DELIVERED)
        status, fields, _ = await busy.answer()
        assert (status, fields["connection"]) == (200, "close")
        assert await draining == 0


async def test_what_is_left_after_the_grace_is_cut() -> None:
    acceptance = Acceptor(None)
    async with site(acceptance) as found, await Client.open(found.port) as client:
        client.post(notification())
        async with asyncio.timeout(10):
            await acceptance.came.wait()
        assert await found.server.drain(0.01) == 1
        assert await client.ended() == b""


async def test_retiring_and_overload_are_said_and_taken_back() -> None:
    async with site() as found, await Client.open(found.port) as client:
        found.server.set_overloaded(True)
        client.post(notification())
        status, fields, _ = await client.answer()
        assert (status, fields["retry-after"]) == (503, "10")
        found.server.set_overloaded(False)
        client.post(notification())
        assert (await client.json())[0] == 200
        found.server.set_retiring(True)
        found.server.set_overloaded(False)  # says nothing about retiring
        assert await client.ended() == b""
        async with await Client.open(found.port) as other:
            other.post(notification())
            status, fields, _ = await other.answer()
            assert (status, fields["connection"]) == (503, "close")
        found.server.set_retiring(False)
        async with await Client.open(found.port) as other:
            other.post(notification())
            assert (await other.json())[0] == 200


async def test_those_who_are_still_led_here_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.http.server.QUIET", 0.2)
    async with site() as found, await Client.open(found.port) as idle:
        leaving = asyncio.create_task(found.server.leave(10.0))
        assert await idle.ended() == b""
        async with await Client.open(found.port) as client:
            client.post(notification())
            status, fields, _ = await client.answer()
            assert (status, fields["connection"]) == (200, "close")
        async with asyncio.timeout(5):
            await leaving


async def test_draining_does_not_wait_for_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An idle client does not answer the end of TLS."""
    monkeypatch.setattr("tubepost_dispatcher.smtp.starttls.GOODBYE", 0.05)
    ca = make_ca()
    async with site(tls=tls_of(ca)) as found, await Client.open(found.port, trusting(ca)) as client:
        client.post(notification())
        assert (await client.json())[0] == 200
        transport = client.writer.transport
        transport.pause_reading()
        # The loop's own limit for the end of TLS is 30 s.
        async with asyncio.timeout(25):
            assert await found.server.drain(1_000) == 0
        transport.resume_reading()
