"""The broadcast channels that a simulator has, by app."""

from __future__ import annotations

import base64
import os
from typing import Any, NamedTuple

import orjson

from tubepost_simulator.exchange import Reply


class Channel(NamedTuple):
    """One channel: the app's bundle id, and whether its latest message is kept (1) or not (0)."""

    bundle: str
    policy: int


class ChannelStore:
    """Makes, shows and forgets channels; `most` for each app."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._channels: dict[str, Channel] = {}

    def of(self, bundle: str) -> list[str]:
        """The ids of an app's channels, the oldest first."""
        return [name for name, channel in self._channels.items() if channel.bundle == bundle]

    def full(self, bundle: str) -> bool:
        """Whether the app may have no further one."""
        return len(self.of(bundle)) >= self._most

    def find(self, bundle: str, channel_id: str) -> Channel | None:
        """A channel of this app."""
        found = self._channels.get(channel_id)
        return found if found is not None and found.bundle == bundle else None

    def add(self, bundle: str, policy: int = 0) -> str:
        """Make a channel; returns its id."""
        channel_id = base64.b64encode(os.urandom(16)).decode()
        self._channels[channel_id] = Channel(bundle, policy)
        return channel_id

    def carry_out(self, reply: Reply) -> None:
        """Do what a checked request asks for, and complete its answer."""
        bundle = reply.topic
        if reply.operation == "create":
            reply.channel_id = self.add(bundle, reply.policy)
            reply.success = 201
        elif reply.operation == "delete":
            del self._channels[reply.channel_id]
            reply.success = 204
        elif reply.operation == "list":
            reply.body = orjson.dumps({"channels": self.of(bundle)})
        else:
            policy = self._channels[reply.channel_id].policy
            reply.body = orjson.dumps({"message-storage-policy": policy, "push-type": "LiveActivity"})

    def as_dict(self) -> list[dict[str, Any]]:
        """All channels as the API shows them."""
        return [
            {"id": name, "bundle": channel.bundle, "messageStoragePolicy": channel.policy}
            for name, channel in self._channels.items()
        ]
