"""The state of one listener: configuration in force, open sessions and their counts, a coarse clock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Generic, Protocol

from prometheus_client import Counter

from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.data import DataReceiver, Memory
from tubepost_dispatcher.smtp.guesses import Guesses
from tubepost_dispatcher.smtp.message_ids import MessageIds, SessionIds
from tubepost_dispatcher.smtp.turns import TurnBudget
from tubepost_dispatcher.transaction import DomainT


class OpenSession(Protocol):
    """A session as its listener knows it."""

    def tick(self, now: float, timeout: float, interval: float) -> None:
        """Apply the time limits, once in `interval`. Seconds; `timeout` is for idle clients, 0 means none."""

    def shut_down(self, *, at_once: bool) -> None:
        """End between two transactions, or reset the connection now."""


class ListenerState(Generic[DomainT]):
    """State of one listener. `now` is monotonic seconds as of the last sweep, near enough for timeouts."""

    __slots__ = (
        "_per_client",
        "_refusals",
        "_rejections",
        "config",
        "draining",
        "emptied",
        "guesses",
        "ids",
        "memory",
        "now",
        "open_gauge",
        "opened",
        "overloaded",
        "received",
        "session_ids",
        "sessions",
        "temp_dir",
        "turns",
    )

    def __init__(
        self, config: EffectiveConfig[DomainT], metrics: Metrics, temp_dir: Path | None, now: float
    ) -> None:
        self.config = config
        self.temp_dir = temp_dir
        self.now = now
        self.draining = False
        self.overloaded = False
        self.emptied: asyncio.Event | None = None
        self.ids = MessageIds()
        self.session_ids = SessionIds()
        self.memory = Memory()
        self.guesses = Guesses()
        self.turns = TurnBudget()
        self.sessions: set[OpenSession] = set()
        self.open_gauge = metrics.smtp_sessions
        self.opened = metrics.smtp_sessions_opened
        self.received = metrics.smtp_received_bytes
        self._rejections = metrics.smtp_rejections
        self._refusals: dict[tuple[str, str], Counter] = {}
        self._per_client: dict[str, int] = {}

    def refused(self, stage: str, code: str) -> None:
        """Count a refusal; `stage` is one of those that the metric's help names."""
        child = self._refusals.get((stage, code))
        if child is None:
            child = self._refusals[stage, code] = self._rejections.labels(stage, code)
        child.inc()

    def receiver(self, config: EffectiveConfig[DomainT]) -> DataReceiver:
        """Receives one message within the limits of `config`."""
        limits = config.limits
        return DataReceiver(
            max_size=limits.max_message_size,
            max_header=limits.max_header_size,
            max_line=limits.max_line_length,
            temp_dir=self.temp_dir,
            memory=self.memory,
        )

    def admit(self, session: OpenSession, address: str) -> bytes | None:
        """Count a new session in, or return the reply that turns it away."""
        config = self.config
        limits = config.limits
        here = self._per_client.get(address, 0)
        refusal = None
        if self.draining:
            refusal = replies.SHUTTING_DOWN
        elif self.overloaded:
            refusal = replies.OVERLOADED
        elif not config.allows(address):
            refusal = replies.NOT_ALLOWED
        elif limits.max_connections and len(self.sessions) >= limits.max_connections:
            refusal = replies.TOO_MANY_CONNECTIONS
        elif limits.max_connections_per_client and here >= limits.max_connections_per_client:
            refusal = replies.TOO_MANY_CLIENT_CONNECTIONS
        if refusal is not None:
            self.refused("connect", replies.code(refusal))
            return refusal
        self.sessions.add(session)
        self._per_client[address] = here + 1
        self.opened.inc()
        self.open_gauge.inc()
        return None

    def leave(self, session: OpenSession, address: str) -> None:
        """Count a session out again; without effect for one that was never admitted."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        self.open_gauge.dec()
        if self.emptied is not None and not self.sessions:
            self.emptied.set()
        left = self._per_client.get(address, 0) - 1
        if left > 0:
            self._per_client[address] = left
        else:
            self._per_client.pop(address, None)
