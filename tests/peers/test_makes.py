"""Plain traffic with servers of four makes: Go's net/http, nginx, nghttpd and our raw peer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import MakeSender, Tls
from tests.peers.sender import identity, numbered
from tests.peers.servers import GoPeer, Nghttpd, Nginx
from tubepost_dispatcher.outcome import OutcomeKind

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("name", ["apnsserver", "rawpeer", "sink"])
async def test_go(tls: Tls, apns_pool: MakeSender, name: str) -> None:
    with GoPeer(name, tls.certificate, tls.key) as peer:
        sender = apns_pool(peer.port)
        await sender.send(numbered(500), padding=3_000)
        stats = await peer.stats()
    assert sender.kinds() == {OutcomeKind.DELIVERED: 500}
    assert (stats["answered"], stats["distinct"], stats["statuses"]) == (500, 500, {"200": 500})


async def test_answers_other_than_200_of_go(tls: Tls, apns_pool: MakeSender) -> None:
    with GoPeer("apnsserver", tls.certificate, tls.key) as peer:
        sender = apns_pool(peer.port)
        for status, reason in ((400, "BadDeviceToken"), (410, "Unregistered"), (503, "ServiceUnavailable")):
            await peer.answer(status, reason)
            await sender.send([reason])
        await sender.send(["fine"])
    found = {
        name: (told[-1].kind, told[-1].status, told[-1].reason) for name, told in sender.outcomes.items()
    }
    assert found == {
        "BadDeviceToken": (OutcomeKind.PERMANENT, 400, "BadDeviceToken"),
        "Unregistered": (OutcomeKind.PERMANENT, 410, "Unregistered"),
        "ServiceUnavailable": (OutcomeKind.TRANSIENT, 503, "ServiceUnavailable"),
        "fine": (OutcomeKind.DELIVERED, 200, ""),
    }


@pytest.mark.parametrize("streams", [1, 10, 1_000])
async def test_nginx(tls: Tls, apns_pool: MakeSender, tmp_path: Path, streams: int) -> None:
    with Nginx(tmp_path, tls.certificate, tls.key, streams=streams) as nginx:
        sender = apns_pool(nginx.port, max_connections=2)
        await sender.send(numbered(300), padding=3_000)
    assert sender.kinds() == {OutcomeKind.DELIVERED: 300}
    assert nginx.answered() == {identity(name): 1 for name in numbered(300)}
    assert nginx.connections() <= 2


@pytest.mark.parametrize(
    ("streams", "padding", "window_bits"),
    [(100, 0, 16), (1_000, 255, 16), (50, 0, 10)],
    ids=["plain", "padded", "narrow windows"],
)
async def test_nghttpd(tls: Tls, apns_pool: MakeSender, streams: int, padding: int, window_bits: int) -> None:
    with Nghttpd(
        tls.certificate, tls.key, streams=streams, padding=padding, window_bits=window_bits
    ) as server:
        sender = apns_pool(server.port, max_connections=2)
        await sender.send(numbered(300), padding=3_000)
    assert sender.kinds() == {OutcomeKind.DELIVERED: 300}
