from __future__ import annotations

from typing import Any

import pytest
from hpack import Decoder

from tests.dispatcher.apns.support import request
from tubepost_dispatcher.apns.blocks import CACHE_SIZE, BlockBuilder
from tubepost_dispatcher.apns.request import ApnsRequest


def make(number: int = 1, **changes: object) -> ApnsRequest[object]:
    return request(lambda _request, _outcome: None, number, **{"apns_id": b"an-id", **changes})


def decoded(block: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in Decoder().decode(block)}


def test_a_block_holds_what_apns_wants() -> None:
    builder = BlockBuilder("api.push.apple.com", 443)
    assert decoded(builder.block(make(collapse_id=b"one"))) == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "api.push.apple.com",
        ":path": f"/3/device/{1:064x}",
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "0",
        "apns-id": "an-id",
        "apns-collapse-id": "one",
    }


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [("localhost", 2197, "localhost:2197"), ("::1", 443, "[::1]"), ("::1", 2197, "[::1]:2197")],
)
def test_the_authority(host: str, port: int, authority: str) -> None:
    assert decoded(BlockBuilder(host, port).block(make()))[":authority"] == authority


def test_the_bearer_comes_and_goes() -> None:
    builder = BlockBuilder("localhost", 443)
    builder.authorize(b"bearer one")
    assert decoded(builder.block(make()))["authorization"] == "bearer one"
    builder.authorize(b"bearer two")
    assert decoded(builder.block(make()))["authorization"] == "bearer two"
    builder.authorize(b"")
    assert "authorization" not in decoded(builder.block(make()))


def test_a_block_refers_to_no_table_so_that_any_connection_can_take_it() -> None:
    builder = BlockBuilder("localhost", 443)
    builder.authorize(b"bearer one")
    blocks = [builder.block(make(number)) for number in (1, 2)]
    one_decoder = Decoder()
    assert [one_decoder.decode(block) for block in blocks] == [Decoder().decode(block) for block in blocks]


def test_the_cache_is_bounded() -> None:
    builder = BlockBuilder("localhost", 443)
    for expiration in range(CACHE_SIZE + 10):
        builder.block(make(expiration=expiration))
    assert len(builder._cache) <= CACHE_SIZE
    assert decoded(builder.block(make(expiration=7)))["apns-expiration"] == "7"


def test_tokens_and_ids_of_every_length_are_written_and_none_that_breaks_a_field() -> None:
    builder = BlockBuilder("localhost", 443)
    builder.authorize(b"bearer one")
    uuid = b"0189f3a2-0000-4000-8000-00000000000a"
    for token in (b"0a" * 32, b"0b" * 32, b"0a" * 100, b"0"):
        for apns_id in (uuid, b"an-id"):
            found = decoded(builder.block(make(token=token, apns_id=apns_id)))
            assert found[":path"] == f"/3/device/{token.decode()}"
            assert (found["authorization"], found["apns-id"]) == ("bearer one", apns_id.decode())
    broken: list[dict[str, Any]] = [
        {"token": b"0a" * 31 + b"\r\n"},
        {"token": b"0a" * 31 + b" a"},
        {"apns_id": uuid[:-1] + b"\n"},
    ]
    for changes in broken:
        with pytest.raises(ValueError, match=r"request path|cannot stand"):
            builder.block(make(**changes))


def test_a_broadcast_has_the_app_in_its_path_and_the_channel_in_a_header() -> None:
    builder = BlockBuilder("api.push.apple.com", 443)
    builder.authorize(b"bearer one")
    one = make(channel_id=b"dHN0LXNyY2gtY2hubA==", token=b"", push_type=b"liveactivity", expiration=7)
    assert decoded(builder.block(one)) == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "api.push.apple.com",
        ":path": "/4/broadcasts/apps/com.example.app",
        "authorization": "bearer one",
        "apns-channel-id": "dHN0LXNyY2gtY2hubA==",
        "apns-push-type": "liveactivity",
        "apns-priority": "10",
        "apns-expiration": "7",
        "apns-request-id": "an-id",
    }
