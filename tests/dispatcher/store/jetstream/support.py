"""Stores on JetStream under test: streams of their own on one server."""

from __future__ import annotations

import itertools
from typing import Any

from tests.dispatcher.store.support import told
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.jetstream.store import JetStreamStore

_STREAMS = itertools.count(1)


class Nats:
    """A server, and the name of a stream on it that no other test has."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls
        self.number = next(_STREAMS)

    def settings(self, **values: Any) -> JetStreamSettings:
        name = f"TUBEPOST_TEST_{self.number}"
        values = {"servers": self.urls, "stream": name, "prefix": f"tubepost.test.q{self.number}", **values}
        return JetStreamSettings(**{"replicas": 1, **values})

    async def store(self, *, settings: JetStreamSettings | None = None, **values: Any) -> JetStreamStore:
        """One that is open."""
        made = JetStreamStore(settings or self.settings(), **values)
        assert await told(made.start) is None
        return made
