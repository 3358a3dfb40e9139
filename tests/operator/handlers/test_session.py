from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.exposition import generate_latest

from tubepost_operator.cluster import ConnectionInfo
from tubepost_operator.handlers.session import make_session
from tubepost_operator.metrics import OperatorMetrics


class Server:
    """Streams a line whenever it is told to."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.authorizations: list[str | None] = []
        self.url = ""

    async def watch(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers.get("Authorization"))
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self.lines.get()) is not None:
            await response.write(line)
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    application = web.Application()
    application.router.add_get("/apis/tubepost.io/v1alpha1/{plural}", found.watch)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def test_every_piece_of_a_watch_is_a_sign_of_life(server: Server) -> None:
    begun: list[str] = []
    noted: list[str] = []
    tokens = iter(["Bearer one", "Bearer two"])
    metrics = OperatorMetrics()
    connection = ConnectionInfo(server.url, None, None, None, True, lambda: next(tokens))
    session = make_session(connection, begun.append, noted.append, begun.append, metrics)
    try:
        url = f"{server.url}/apis/tubepost.io/v1alpha1/pushdomains"
        async with asyncio.timeout(5):
            async with session.get(url, params={"watch": "true"}) as response:
                assert noted == [], "headers alone prove nothing"
                pieces = response.content.iter_chunked(1024).__aiter__()
                for number in range(2):
                    await server.lines.put(b"{}\n")
                    assert await pieces.__anext__() == b"{}\n"
                    assert noted == ["pushdomains"] * (number + 1)
                await server.lines.put(None)
                with pytest.raises(StopAsyncIteration):
                    await pieces.__anext__()
                assert len(noted) == 3, "an orderly end is one too"
            await server.lines.put(None)
            async with session.get(url) as response:
                await response.read()
        assert len(noted) == 3, "only watches count"
        assert begun == ["pushdomains"], "a list is where they begin"
    finally:
        await session.close()
    assert server.authorizations == ["Bearer one", "Bearer two"]
    text = generate_latest(metrics.registry).decode()
    assert 'tubepost_operator_api_requests_total{method="WATCH",status="200"} 1.0' in text


async def test_a_connection_that_goes_silent_gives_no_sign(server: Server) -> None:
    noted: list[str] = []
    connection = ConnectionInfo(server.url, None, None, None, True, lambda: "")
    session = make_session(connection, *[noted.append] * 3, OperatorMetrics())
    try:
        url = f"{server.url}/apis/tubepost.io/v1alpha1/pushdomains"
        async with session.get(
            url, params={"watch": "true"}, timeout=aiohttp.ClientTimeout(sock_read=0.2)
        ) as response:
            with pytest.raises(TimeoutError):
                async for _ in response.content.iter_chunked(1024):
                    pass
    finally:
        await session.close()
    assert noted == []
