"""Stores on JetStream under test: streams of their own on one server."""

from __future__ import annotations

import itertools
import time
from typing import Any

from tests.dispatcher.store.support import an_entry, told
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.jetstream.store import JetStreamStore
from tubepost_dispatcher.store.port import Entry

_STREAMS = itertools.count(1)


def fresh(number: int, *, due: float = 0.0, lane: int = 1, **values: Any) -> Entry:
    """One that is due now, by the real clock."""
    now = time.time()
    return an_entry(number, due=due or now, **values)._replace(expires=now + 900.0, lane=lane)


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
