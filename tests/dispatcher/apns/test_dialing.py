from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from tests.dispatcher.apns.peer import authority
from tests.dispatcher.apns.support import token_credential
from tubepost_api.config import RouteTls
from tubepost_dispatcher.apns.dialing import DialError, Target, dial, parse_proxy
from tubepost_dispatcher.apns.tls import client_context


def test_a_proxys_url_is_read() -> None:
    proxy = parse_proxy("http://a%40b:c%3Ad@proxy.example:3128", None)
    assert (proxy.host, proxy.port, proxy.authorization) == ("proxy.example", 3128, "Basic YUBiOmM6ZA==")
    assert "Basic" not in repr(proxy)
    assert parse_proxy("http://[::1]:1", None).host == "::1"


@pytest.mark.parametrize("url", ["https://p:1", "http://p", "p:1", "http://secret:word@p:x", "", "http://:1"])
def test_what_is_no_proxy_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_proxy(url, None)
    assert "secret" not in str(caught.value)


def test_bad_tls_options_are_refused() -> None:
    with pytest.raises(ValueError):
        client_context(RouteTls(), token_credential(), b"no certificate")
    with pytest.raises(ssl.SSLError):
        client_context(RouteTls(ciphers="NONSENSE"), token_credential(), None)


def test_tls_minimum_is_kept() -> None:
    context = client_context(RouteTls(min_version="1.3"), None, authority().certificate_pem)
    assert context.minimum_version.name == "TLSv1_3"
    assert client_context(RouteTls(), None, None).minimum_version.name == "TLSv1_2"


async def test_a_name_that_does_not_exist() -> None:
    context = client_context(RouteTls(), None, None)
    with pytest.raises(DialError) as caught:
        await dial(
            asyncio.get_running_loop(), Target("nowhere.invalid", 443, context), asyncio.Protocol, 10.0
        )
    assert caught.value.reason == "ConnectFailed"
    assert "nowhere.invalid" in caught.value.detail


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    tried: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))
    good = listener.getsockname()
    closed = socket.create_server(("127.0.0.1", 0))
    bad = closed.getsockname()
    closed.close()
    kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")

    async def two_addresses(*args: object, **options: object) -> list[object]:
        return [(*kinds, bad), (*kinds, good)]

    class Loop:
        def __getattr__(self, name: str) -> object:
            return two_addresses if name == "getaddrinfo" else getattr(loop, name)

        async def sock_connect(self, sock: socket.socket, address: object) -> None:
            tried.append(address)
            await loop.sock_connect(sock, address)  # type: ignore[arg-type]

    monkeypatch.setattr("random.shuffle", lambda _: None)
    context = client_context(RouteTls(), None, None)
    with pytest.raises(DialError) as caught:
        # The one that listens never answers in TLS.
        await dial(Loop(), Target("localhost", 1, context), asyncio.Protocol, 0.3)  # type: ignore[arg-type]
    listener.close()
    assert tried == [bad, good]
    assert caught.value.reason == "ConnectTimeout"


async def test_a_proxy_that_says_our_password_back_does_not_spread_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        (sent,) = [line for line in head if line.startswith(b"Proxy-Authorization")]
        writer.write(b"HTTP/1.1 407 no " + sent + b" pr0xySecret user:pr0xySecret\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = parse_proxy(f"http://127.0.0.1:{port}", "user:pr0xySecret")
    assert "user:pr0xySecret" in proxy.secrets
    target = Target("apns.example", 443, client_context(RouteTls(), None, None), proxy)
    async with server:
        with pytest.raises(DialError) as caught:
            await dial(asyncio.get_running_loop(), target, asyncio.Protocol, 10.0)
    assert caught.value.reason == "ProxyRefused"
    assert "407 no " in caught.value.detail
    for secret in proxy.secrets:
        assert secret not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_is_told_in_words(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    target = Target(host, port, client_context(RouteTls(), None, None))
    with pytest.raises(DialError) as caught:
        await dial(asyncio.get_running_loop(), target, asyncio.Protocol, 5.0)
    assert caught.value.detail.endswith(": Connection refused")
    assert "(" not in caught.value.detail


async def test_an_ipv6_address_is_told_with_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as closed:
        port = closed.getsockname()[1]
    target = Target("::1", port, client_context(RouteTls(), None, None))
    with pytest.raises(DialError) as caught:
        await dial(asyncio.get_running_loop(), target, asyncio.Protocol, 5.0)
    assert caught.value.detail == f"[::1]:{port}: ::1: Connection refused"


async def test_a_proxy_by_an_ipv6_address_is_asked_for_an_ipv6_address() -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[:2])
        writer.write(b"HTTP/1.1 403 no\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = parse_proxy(f"http://[::1]:{port}", None)
    target = Target("2001:db8::7", 2197, client_context(RouteTls(), None, None), proxy)
    with pytest.raises(DialError) as caught:
        await dial(asyncio.get_running_loop(), target, asyncio.Protocol, 5.0)
    server.close()
    assert asked == [["CONNECT [2001:db8::7]:2197 HTTP/1.1", "Host: [2001:db8::7]:2197"]]
    assert caught.value.detail == f"[::1]:{port}: 403 no"
