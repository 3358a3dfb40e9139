from __future__ import annotations

import base64

import orjson

from tubepost_simulator.channels import ChannelStore
from tubepost_simulator.exchange import ConnectionAuth, Operation, Reply

APP = "com.example.app"


def carried_out(store: ChannelStore, operation: Operation, channel_id: str = "", policy: int = 0) -> Reply:
    reply = Reply(ConnectionAuth())
    reply.topic, reply.operation, reply.channel_id, reply.policy = APP, operation, channel_id, policy
    store.carry_out(reply)
    return reply


def test_the_life_of_a_channel() -> None:
    store = ChannelStore(2)
    made = carried_out(store, "create", policy=1)
    assert made.status == 201
    assert base64.b64decode(made.channel_id, validate=True)
    read = carried_out(store, "read", made.channel_id)
    assert orjson.loads(read.body) == {"message-storage-policy": 1, "push-type": "LiveActivity"}
    assert orjson.loads(carried_out(store, "list").body) == {"channels": [made.channel_id]}
    assert store.as_dict() == [{"id": made.channel_id, "bundle": APP, "messageStoragePolicy": 1}]
    assert carried_out(store, "delete", made.channel_id).status == 204
    assert orjson.loads(carried_out(store, "list").body) == {"channels": []}


def test_channels_are_an_apps_own_and_bounded() -> None:
    store = ChannelStore(2)
    first, second = store.add(APP), store.add(APP)
    assert first != second
    assert store.full(APP)
    assert not store.full("com.example.other")
    assert store.find(APP, first) is not None
    assert store.find("com.example.other", first) is None
    assert store.of(APP) == [first, second]
