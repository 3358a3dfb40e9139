"""Whether the stream can be used at present, and why not. Callbacks on one event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from tubepost_dispatcher.store.jetstream.api import Api, error_code, error_text, when
from tubepost_dispatcher.store.jetstream.holding import Holding
from tubepost_dispatcher.store.jetstream.opening import Opened, open_stream, unlike
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.jetstream.stream import room, wanted, warnings, weaknesses
from tubepost_dispatcher.store.port import Failure, FailureKind

_LOG = logging.getLogger("tubepost.store")

REOPEN: Final = 3.0
"""Seconds until a stream that cannot be used is looked at again."""
_CONNECTING: Final = Failure(FailureKind.AWAY, "the queue is being opened: NATS has not answered yet")


class Condition:
    """Lives on one event loop; every method is called on it.

    Args:
        api: of the stream.
        settings: what the stream has to be.
        holding: told of the stream's size, and of the server's clock and bounds.
        loop: schedules.
        known: told when it is known whether it can be used.
        wall: unix seconds.
    """

    def __init__(
        self,
        api: Api,
        settings: JetStreamSettings,
        holding: Holding,
        loop: asyncio.AbstractEventLoop,
        known: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        self._api = api
        self.settings = settings
        self._holding = holding
        self._loop = loop
        self._known = known
        self._wall = wall
        self.failure: Failure | None = _CONNECTING
        """Why nothing can be asked of it."""
        self.full: Failure | None = None
        """Why nothing new is taken."""
        self.warnings: tuple[str, ...] = ()
        self.states: tuple[str, ...] = ("unreachable",)
        """What is to be said of the stream (`STREAM_STATES`)."""
        self._opening = 0
        self._reopening: asyncio.TimerHandle | None = None
        self._server: Mapping[str, Any] = {}
        self._config: Mapping[str, Any] = {}
        """Of the stream, as it was when it was last checked."""
        self._created = ""
        """When it was made."""

    def connected(self, server: Mapping[str, Any]) -> None:
        """There is a connection to this server."""
        self._holding.max_payload = int(server.get("max_payload", 1024 * 1024))
        self._holding.most_bytes = min(512 * 1024, self._holding.max_payload // 2)
        self._server = server
        self._open()

    def disconnected(self, why: str) -> None:
        """There is none."""
        self._opening += 1
        self._fail(why, "unreachable")

    def close(self) -> None:
        """Look no more."""
        self._opening += 1
        if self._reopening is not None:
            self._reopening.cancel()

    def renewed(self) -> None:
        """The settings are others, the connection stays."""
        if self.failure is None:
            self._open()

    def look(self) -> None:
        """Read the stream's state."""
        sure = self._holding.acknowledged
        self._api.info(lambda told: self._informed(told, sure))

    def _open(self) -> None:
        self._opening += 1
        number, sure = self._opening, self._holding.acknowledged

        def opened(told: Opened) -> None:
            if number != self._opening:
                return
            if told.problem:
                self._fail(told.problem, told.state)
                self._later()
            else:
                self._can_be_used(told, sure)
            self._known()

        open_stream(self._api, self.settings, self._server, opened)

    def _later(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = self._loop.call_later(REOPEN, self._open)

    def _can_be_used(self, told: Opened, sure: int) -> None:
        if self.failure is not None:
            _LOG.info("queue: stream %s is open", self.settings.stream)
        self.failure = None
        self._config = told.info.get("config") or {}
        self._warn(told.warnings)
        self._informed(dict(told.info), sure)

    def _warn(self, texts: tuple[str, ...]) -> None:
        if texts != self.warnings:
            for text in texts:
                _LOG.warning("queue: stream %s: %s", self.settings.stream, text)
        self.warnings = texts
        self.states = weaknesses(self._config) or ("ok",)

    def _altered(self, config: Mapping[str, Any]) -> None:
        """Somebody has changed the stream: a replica with newer settings, or one who does not know of us."""
        self._config = config
        foreign = unlike(config, wanted(self.settings))
        if foreign:
            self._opening += 1
            self._fail(foreign, "foreign_stream")
            self._later()
        else:
            self._warn(warnings(config))

    def _fail(self, why: str, state: str = "unusable") -> None:
        if self.failure is None or self.failure.text != why:
            _LOG.error("queue: %s", why)
        self.failure = Failure(FailureKind.AWAY, why)
        self.states = (state,)
        self._holding.fail_waiters()

    def _compare(self, told: Mapping[str, Any], sure: int) -> None:
        """Say so where the stream has not what it had: nobody else does, and what is gone cannot be found."""
        before, self._created = self._created, str(told.get("created", ""))
        last = int((told.get("state") or {}).get("last_seq", 0))
        if before and before != self._created:
            known = self._holding.known.messages
            what = f"is another one than before: what was in that is lost, {known} messages that waited here"
        # Of several replicas a new leader may not have come so far yet.
        elif last < sure and (told.get("config") or {}).get("num_replicas") == 1:
            what = f"ends with message {last}, and had acknowledged {sure}: up to {sure - last} are lost"
        else:
            return
        self._holding.acknowledged = last
        remedy = "Was it removed, or has its server lost what it had not synced (sync_interval)?"
        _LOG.error("queue: stream %s %s. %s", self.settings.stream, what, remedy)

    def _informed(self, told: dict[str, Any] | None, sure: int) -> None:
        if told is None:
            return
        if error_code(told):
            if self.failure is None:
                self._fail(f"stream {self.settings.stream}: {error_text(told)}")
                self._open()
            return
        self._compare(told, sure)
        config = told.get("config") or {}
        if self.failure is None and config != self._config:
            self._altered(config)
        state = told.get("state") or {}
        self._holding.messages = int(state.get("messages", 0))
        self._holding.size = int(state.get("bytes", 0))
        now = when(str(told.get("ts", "")))
        if now:
            self._holding.skew = now - self._wall()
        most = self.settings.max_bytes
        text = f"the stream has {self._holding.size} of {most} bytes, and keeps a tenth for what is in it"
        full = self._holding.size >= room(most)
        self.full = Failure(FailureKind.FULL, text) if full else None
