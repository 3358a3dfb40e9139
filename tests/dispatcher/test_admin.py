from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest

from tubepost_dispatcher.admin import AdminEndpoint


def client_of(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)


async def test_status_is_json() -> None:
    admin = AdminEndpoint(status=lambda: {"workers": [{"pid": 7}], 1: {2.5}})  # type: ignore[dict-item]
    await admin.start()
    async with client_of(admin.port) as client:
        response = await client.get("/status")
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.text) == {"workers": [{"pid": 7}], "1": "{2.5}"}
        assert (await client.get("/metrics")).status_code == 404
    await admin.stop()


async def test_status_may_take_its_time() -> None:
    async def status() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"ready": True}

    admin = AdminEndpoint("127.0.0.1", 0, status)
    await admin.start()
    async with client_of(admin.port) as client:
        assert (await client.get("/status")).json() == {"ready": True}
    await admin.stop()


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("LocalHost:8080", 200),
        ("127.0.0.1:9", 200),
        ("127.8.8.8", 200),
        ("[::1]:9", 200),
        ("rebound.example.com", 403),
        ("localhost.example.com", 403),
        ("127.0.0.1.example.com:80", 403),
        ("10.0.0.1", 403),
    ],
)
async def test_the_admin_endpoint_answers_loopback_names_only(host: str, code: int) -> None:
    admin = AdminEndpoint()
    await admin.start()
    async with client_of(admin.port) as client:
        assert (await client.get("/status", headers={"Host": host})).status_code == code
    await admin.stop()


async def test_the_admin_endpoint_has_the_loopback_of_both_families() -> None:
    admin = AdminEndpoint()
    await admin.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        for address in ("127.0.0.1", "[::1]", "localhost"):
            assert (await client.get(f"http://{address}:{admin.port}/status")).status_code == 200
    await admin.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_the_admin_endpoint_serves_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        AdminEndpoint(host)


def test_the_admin_endpoint_takes_no_other_socket() -> None:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        with pytest.raises(ValueError, match="loopback only"):
            AdminEndpoint(sock=sock)
