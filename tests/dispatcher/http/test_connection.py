from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.dispatcher.http.support import (
    BEARER,
    DELIVERED,
    QUEUED,
    Acceptor,
    Client,
    Pending,
    notification,
    request,
    site,
)
from tubepost_dispatcher.http import connection as module
from tubepost_dispatcher.http.connection import BODY_TIME, HEAD_TIME, KEEP_ALIVE
from tubepost_dispatcher.http.head import MAX_FIELDS, MAX_HEAD
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Transaction


async def test_one_notification_after_the_other_on_one_connection() -> None:
    async with site() as found, await Client.open(found.port) as client:
        for number in (1, 2):
            client.post(notification())
            status, fields, body = await client.answer()
            assert (status, fields["content-type"]) == (200, "application/json")
            assert "connection" not in fields
            answer = orjson.loads(body)
            assert (answer["outcome"], answer["apnsId"]) == ("delivered", f"id-{number}")
        first, second = found.acceptance.accepted
        assert first.message_id != second.message_id == answer["id"]
        assert (first.session.user, first.session.remote_ip) == ("app", "127.0.0.1")
        assert found.samples("tubepost_rest_requests_total")["200"] == 2
        assert found.samples("tubepost_rest_connections") == {"": 1}
        assert found.samples("tubepost_rest_open_requests") == {"": 0}


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (QUEUED, 202, "application/json"),
        (refusal("QueueFull"), 503, "application/problem+json"),
        (refusal("BadDeviceToken"), 422, "application/problem+json"),
        (refusal("Throttled"), 429, "application/problem+json"),
    ],
)
async def test_what_acceptance_says_is_the_status(answer: Reply, status: int, kind: str) -> None:
    async with site(Acceptor(answer)) as found, await Client.open(found.port) as client:
        client.post(notification())
        got, fields, body = await client.answer()
        assert (got, fields["content-type"]) == (status, kind)
        assert orjson.loads(body)["id"] == found.acceptance.accepted[0].message_id
        assert ("retry-after" in fields) == (status in {429, 503})


async def test_the_answer_may_come_later_and_what_comes_meanwhile_waits_its_turn() -> None:
    acceptance = Acceptor(None)
    async with site(acceptance) as found, await Client.open(found.port) as client:
        client.send(request(notification()) * 3 + request({}, path="/v1/other"))
        for number in range(3):
            async with asyncio.timeout(10):
                await acceptance.came.wait()
            acceptance.came.clear()
            assert len(acceptance.accepted) == number + 1
            acceptance.accepted[number].reply(DELIVERED)
            assert (await client.json())[1]["apnsId"] == f"id-{number + 1}"
        assert (await client.json())[0] == 404


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (request(b"{"), 400, "BadRequest"),
        (request({}, path="/"), 404, "NoSuchPath"),
        (request({}, method="GET"), 405, "MethodRefused"),
        (request({}, authorization=None), 401, "Unauthorized"),
        (request({}, authorization="Bearer wrong"), 401, "Unauthorized"),
        (request({}, authorization=f"Basic {BEARER}"), 401, "Unauthorized"),
        (request({}, content_type="text/plain"), 415, "NotJson"),
        (request({}, content_encoding="gzip"), 415, "NotJson"),
        (request({}, host=None), 400, "BadRequest"),
        (request({}, idempotency_key="x" * 256), 400, "BadRequest"),
        (request({"notifications": [{}, {}, {}]}), 413, "BatchTooLarge"),
        (request(notification(domain="unknown.example")), 422, "UnknownDomain"),
    ],
)
async def test_what_is_refused_leaves_the_connection_open(sent: bytes, status: int, reason: str) -> None:
    async with site(max_batch=2) as found, await Client.open(found.port) as client:
        client.send(sent + request(notification()))
        got, document = await client.json()
        assert (got, document["reason"]) == (status, reason)
        assert document["status"] == status
        assert BEARER not in str(document)
        assert (await client.json())[0] == 200


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"HELO there\r\n\r\n", 400, "BadRequest"),
        (b"\x16\x03\x01\x02\x00", 400, "BadRequest"),
        (request({}, transfer_encoding="chunked"), 400, "BadRequest"),  # and a Content-Length
        (request({}, content_length="2000", expect="100-continue"), 413, "RequestTooLarge"),
        (request({}, content_length="2000"), 413, "RequestTooLarge"),
        (request({}, x_long="x" * MAX_HEAD), 431, "HeadTooLarge"),
        (
            b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: x\r\n" % n for n in range(MAX_FIELDS + 1)) + b"\r\n",
            431,
            "HeadTooLarge",
        ),
        (request({}, authorization=None, content_length="50", expect="100-continue"), 401, "Unauthorized"),
    ],
)
async def test_what_cannot_be_read_on_ends_the_connection(sent: bytes, status: int, reason: str) -> None:
    async with site(max_body_size=1_000) as found, await Client.open(found.port) as client:
        client.send(sent)
        got, fields, body = await client.answer()
        assert (got, orjson.loads(body)["reason"]) == (status, reason)
        assert fields["connection"] == "close"
        client.send(request(notification()))
        client.writer.write_eof()
        assert await client.ended() == b""
        assert found.acceptance.accepted == []


async def test_another_protocol_is_not_changed_to() -> None:
    async with site() as found, await Client.open(found.port) as client:
        client.send(request(notification(), connection="upgrade", upgrade="h2c") * 2)
        status, fields, body = await client.answer()
        assert (status, fields["connection"]) == (400, "close")
        assert b"leave Upgrade out" in body
        assert await client.ended() == b""


async def test_a_body_in_chunks_has_the_same_bound() -> None:
    async with site(max_body_size=1_000) as found:
        async with await Client.open(found.port) as client:
            body = orjson.dumps(notification())
            head = request(b"", content_length=None, transfer_encoding="chunked")
            client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            assert (await client.json())[0] == 200
        async with await Client.open(found.port) as client:
            client.send(head + b"400\r\n" + b" " * 1_024 + b"\r\n")
            assert (await client.json())[0] == 413


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with site() as found, await Client.open(found.port) as client:
        body = orjson.dumps(notification())
        client.send(request(b"", content_length=str(len(body)), expect="100-continue"))
        assert (await client.answer())[0] == 100
        client.send(body)
        assert (await client.json())[0] == 200


async def test_http_1_0_and_close_end_after_the_answer() -> None:
    async with site() as found:
        for sent in (
            request(notification(), connection="close"),
            request(notification()).replace(b"HTTP/1.1", b"HTTP/1.0"),
        ):
            async with await Client.open(found.port) as client:
                client.send(sent)
                status, fields, _ = await client.answer()
                assert (status, fields["connection"]) == (200, "close")
                assert await client.ended() == b""


async def test_the_description_needs_no_token() -> None:
    async with site() as found, await Client.open(found.port) as client:
        client.send(b"GET /v1/openapi.json?x=y HTTP/1.1\r\nHost: x\r\n\r\n")
        status, document = await client.json()
        assert (status, document["openapi"]) == (200, "3.1.0")


async def test_a_client_that_goes_is_told_of_to_acceptance() -> None:
    acceptance = Acceptor(None)
    async with site(acceptance) as found:
        async with await Client.open(found.port) as client:
            client.post(notification())
            async with asyncio.timeout(10):
                await acceptance.came.wait()
        (transaction,) = acceptance.accepted
        async with asyncio.timeout(10):
            while not transaction.abandoned:  # noqa: ASYNC110 - the listener tells nobody else
                await asyncio.sleep(0)
        assert isinstance(transaction.pending, Pending)
        assert transaction.pending.abandoned
        transaction.reply(DELIVERED)  # nobody hears it, and nothing breaks
        assert found.samples("tubepost_rest_open_requests") == {"": 0}


async def test_bad_tokens_are_throttled_and_good_ones_from_there_are_not() -> None:
    async with site() as found, await Client.open(found.port) as client:
        client.post(notification())
        assert (await client.json())[0] == 200
        statuses = []
        for number in range(7):
            client.post({}, authorization=f"Bearer wrong-{number}")
            status, fields, _ = await client.answer()
            statuses.append(status)
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert int(fields["retry-after"]) >= 1
        client.post(notification())
        assert (await client.json())[0] == 200


async def test_an_address_that_is_not_allowed() -> None:
    async with site(networks=("10.0.0.0/8",)) as found, await Client.open(found.port) as client:
        client.post(notification())
        assert (await client.json())[1]["reason"] == "ClientNotAllowed"


async def test_idempotency() -> None:
    acceptance = Acceptor(None)
    async with (
        site(acceptance) as found,
        await Client.open(found.port) as client,
        await Client.open(found.port) as other,
    ):
        client.post(notification(), idempotency_key="k1")
        async with asyncio.timeout(10):
            await acceptance.came.wait()
        other.post(notification(), idempotency_key="k1")
        assert (await other.json())[1]["reason"] == "RequestInProgress"
        acceptance.accepted[0].reply(DELIVERED)
        first = await client.json()
        other.post(notification(), idempotency_key="k1")
        status, fields, body = await other.answer()
        assert (status, orjson.loads(body)) == first
        assert fields["idempotency-replayed"] == "true"
        other.post(notification(apnsTopic="x"), idempotency_key="k1")
        assert (await other.json())[1]["reason"] == "IdempotencyKeyReused"
        assert len(acceptance.accepted) == 1
        assert acceptance.accepted[0].fields is not None
        assert b"apns-id" in acceptance.accepted[0].fields.headers
        # What failed for now is tried again, with the same apns-id.
        acceptance.answer = refusal("QueueFull")
        for _ in range(2):
            other.post(notification(), idempotency_key="k2")
            assert (await other.json())[0] == 503
        ids = {one.fields.headers[b"apns-id"] for one in acceptance.accepted[1:] if one.fields is not None}
        assert len(ids) == 1


async def test_a_repetition_of_a_client_whose_connection_broke() -> None:
    acceptance = Acceptor(None)
    async with site(acceptance) as found:
        batch = {"notifications": [notification()] * 2}
        for key, answer in (("k1", DELIVERED), ("k2", refusal("ClientGone"))):
            acceptance.came.clear()
            acceptance.accepted.clear()
            async with await Client.open(found.port) as client:
                client.post(batch, idempotency_key=key)
                async with asyncio.timeout(10):
                    await acceptance.came.wait()
            async with await Client.open(found.port) as client:
                async with asyncio.timeout(10):
                    while not acceptance.accepted[0].abandoned:  # noqa: ASYNC110 - nobody else is told
                        await asyncio.sleep(0)
                client.post(batch, idempotency_key=key)
                assert (await client.json())[1]["reason"] == "RequestInProgress"
                for transaction in tuple(acceptance.accepted):
                    transaction.reply(answer)
                acceptance.answer = DELIVERED
                client.post(batch, idempotency_key=key)
                status, fields, _ = await client.answer()
                # What was delivered is not sent again; what was withdrawn is.
                assert status == 200
                assert ("idempotency-replayed" in fields) == (answer is DELIVERED)
                acceptance.answer = None


async def test_a_fault_of_ours_is_answered_and_hurts_nobody_else(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(transaction: Transaction[str]) -> Reply:
        raise RuntimeError("broken")

    async with site(Acceptor(broken)) as found, await Client.open(found.port) as client:
        client.post({"notifications": [notification(), notification(payload=None)]})
        status, document = await client.json()
        assert status == 207
        assert [one["reason"] for one in document["notifications"]] == ["InternalError", "PayloadEmpty"]
        monkeypatch.setattr(module, "read_body", broken)
        client.post(notification())
        assert (await client.json())[1]["reason"] == "InternalError"
        assert caplog.text.count("internal error") == 2


@pytest.mark.parametrize(
    ("sent", "limit", "status"),
    [
        (b"", KEEP_ALIVE, 0),
        (b"POST /v1/notif", HEAD_TIME, 408),
        (request({}, content_length="100"), BODY_TIME, 408),
    ],
)
async def test_slow_clients(sent: bytes, limit: float, status: int) -> None:
    async with (
        site() as found,
        await Client.open(found.port) as client,
        await Client.open(found.port) as busy,
    ):
        client.send(sent)
        found.acceptance.answer = None
        busy.post(notification())
        async with asyncio.timeout(10):
            await found.acceptance.came.wait()
        state = found.server._state
        now = asyncio.get_running_loop().time()
        for connection in tuple(state.connections):
            connection.tick(now + limit - 5)
        assert len(state.connections) == 2
        for connection in tuple(state.connections):
            connection.tick(now + limit + 5)
        if status:
            got, fields, _ = await client.answer()
            assert (got, fields["connection"]) == (status, "close")
        client.writer.close()
        assert await client.ended() == b""
        # Who waits for an answer is left alone.
        found.acceptance.accepted[0].reply(DELIVERED)
        assert (await busy.json())[0] == 200


async def test_the_idlest_connection_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.http.listener.MAX_CONNECTIONS", 2)
    async with site() as found, await Client.open(found.port) as idle, await Client.open(found.port) as busy:
        for client in (idle, busy):
            client.post(notification())
            assert (await client.json())[0] == 200
        found.acceptance.answer = None
        found.acceptance.came.clear()
        busy.post(notification())
        async with asyncio.timeout(10):
            await found.acceptance.came.wait()
        async with await Client.open(found.port) as third:
            third.send(b"POST ")  # under way
            assert await idle.ended() == b""
            third.post(notification())
            async with await Client.open(found.port) as fourth:
                status, document = await fourth.json()
                assert (status, document["reason"]) == (503, "TooManyConnections")


async def test_bodies_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODIES", 100)
    async with site() as found, await Client.open(found.port) as client:
        client.post(notification())
        assert (await client.json())[1]["reason"] == "Overloaded"
        assert found.server._state.bodies == 0


async def test_garbage_never_breaks_it() -> None:
    pieces: list[Any] = [b"\r\n" * 50, b"\x00" * 100, b"POST / HTTP/9.9\r\n\r\n", b"A" * 70_000]
    async with site() as found:
        for piece in pieces:
            async with await Client.open(found.port) as client:
                client.send(piece)
                client.writer.write_eof()
                await client.ended()
        async with await Client.open(found.port) as client:
            client.post(notification())
            assert (await client.json())[0] == 200
