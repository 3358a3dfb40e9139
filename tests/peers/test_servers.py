"""The peers themselves, asked by httpx: that they do what the tests of our pool rely on."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

import h2.connection
import h2.events
import httpx
import pytest

from tests.peers.conftest import Tls
from tests.peers.servers import GoPeer, Nghttpd, Nginx

pytestmark = pytest.mark.peer


def client(tls: Tls, port: int) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(tls.ca))
    return httpx.AsyncClient(
        http2=True, verify=context, base_url=f"https://localhost:{port}", trust_env=False
    )


async def push_all(tls: Tls, port: int, count: int) -> None:
    """One request after the other; httpx may lose an answer to a GOAWAY, and a new client asks again."""
    done = 0
    for _ in range(count):
        async with client(tls, port) as http:
            with contextlib.suppress(httpx.ProtocolError):
                while done < count:
                    assert (await push(http, done)).status_code == 200
                    done += 1
    assert done == count


async def push(http: httpx.AsyncClient, number: int) -> httpx.Response:
    return await http.post(
        "/3/device/00aa",
        content=b'{"aps":{},"id":"n%d"}' % number,
        headers={"apns-topic": "a.b", "apns-id": f"x{number}"},
    )


@pytest.mark.parametrize("name", ["apnsserver", "rawpeer", "sink"])
async def test_a_go_peer_answers_and_counts(tls: Tls, name: str) -> None:
    with GoPeer(name, tls.certificate, tls.key) as peer:
        async with client(tls, peer.port) as http:
            for number in (1, 2, 2):
                answer = await push(http, number)
                assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
                assert answer.headers["apns-id"] == f"x{number}"
        stats = await peer.stats()
    identity = "x2" if name == "sink" else "n2"
    assert (stats["answered"], stats["distinct"], stats["duplicates"]) == (3, 2, {identity: 2})
    assert [connection["requests"] for connection in stats["connections"]] == [3]


@pytest.mark.parametrize("name", ["apnsserver", "rawpeer"])
async def test_an_ordered_answer_is_given_once(tls: Tls, name: str) -> None:
    with GoPeer(name, tls.certificate, tls.key) as peer:
        await peer.answer(400, "BadDeviceToken")
        async with client(tls, peer.port) as http:
            first, second = await push(http, 1), await push(http, 2)
    assert (first.status_code, first.json()) == (400, {"reason": "BadDeviceToken"})
    assert second.status_code == 200


@pytest.mark.parametrize(
    ("name", "flags"),
    [("apnsserver", {"goaway_after": 2}), ("rawpeer", {"script": "goaway", "after": 2, "times": 0})],
)
async def test_a_go_peer_leaves_in_good_order(tls: Tls, name: str, flags: dict[str, object]) -> None:
    with GoPeer(name, tls.certificate, tls.key, **flags) as peer:
        await push_all(tls, peer.port, 4)
        stats = await peer.stats()
    requests = [connection["requests"] for connection in stats["connections"]]
    assert (requests[:2], stats["distinct"]) == ([2, 2], 4)


async def test_nginx_answers_and_leaves(tls: Tls, tmp_path: Path) -> None:
    with Nginx(tmp_path, tls.certificate, tls.key, requests=3) as nginx:
        await push_all(tls, nginx.port, 6)
    assert nginx.answered().keys() == {f"x{number}" for number in range(6)}
    assert nginx.connections() >= 2


async def test_nghttpd_answers_with_the_body(tls: Tls) -> None:
    with Nghttpd(tls.certificate, tls.key, padding=100) as server:
        async with client(tls, server.port) as http:
            answer = await push(http, 1)
    assert (answer.status_code, answer.content) == (200, b'{"aps":{},"id":"n1"}')


def test_a_raw_peer_counts_streams_above_its_limit(tls: Tls) -> None:
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.set_alpn_protocols(["h2"])
    refused: set[int | None] = set()
    with (
        GoPeer("rawpeer", tls.certificate, tls.key, max_streams=2) as peer,
        socket.create_connection(("127.0.0.1", peer.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        rude = h2.connection.H2Connection()
        rude.initiate_connection()
        for stream in (1, 3, 5):
            fields = [
                (":method", "POST"),
                (":path", "/3/device/00"),
                (":scheme", "https"),
                (":authority", "x"),
            ]
            rude.send_headers(stream, fields)
        connection.sendall(rude.data_to_send())
        while not refused:
            events = rude.receive_data(connection.recv(65_536))
            refused |= {event.stream_id for event in events if isinstance(event, h2.events.StreamReset)}
        stats = peer.get("/stats")
    assert refused == {5}
    assert stats["connections"][0]["violations"] == 1
