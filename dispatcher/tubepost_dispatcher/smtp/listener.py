"""What all sessions of one listener share: config, counts, the coarse clock, message ids."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from prometheus_client import Counter

from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.data import Memory
from tubepost_dispatcher.smtp.message_ids import MessageIds

if TYPE_CHECKING:
    from pathlib import Path

    from tubepost_dispatcher.smtp.session import SmtpSession


TURN_BUDGET = 1024 * 1024
"""Octets of large messages that all sessions together take in one turn of the loop; then they queue up.

libuv hands a busy connection's input over in up to 32 pieces of 256 KB without a break: ten such connections
would hold the loop for a tenth of a second."""
RESUMED_PER_TURN = 4
"""Sessions of that queue that may go on in each turn, with a piece of at most 256 KB each."""


class ListenerState:
    """State of one listener. `now` is monotonic seconds as of the last sweep, near enough for timeouts."""

    __slots__ = (
        "_per_client",
        "_refusals",
        "_rejections",
        "_turn_ends",
        "_waiting",
        "config",
        "draining",
        "emptied",
        "ids",
        "memory",
        "now",
        "open_gauge",
        "opened",
        "overloaded",
        "received",
        "sessions",
        "spent",
        "temp_dir",
    )

    def __init__(self, config: EffectiveConfig, metrics: Metrics, temp_dir: Path | None, now: float) -> None:
        self.config = config
        self.temp_dir = temp_dir
        self.now = now
        self.draining = False
        self.overloaded = False
        self.emptied: asyncio.Event | None = None
        self.ids = MessageIds()
        self.memory = Memory()
        self.sessions: set[SmtpSession] = set()
        self.open_gauge = metrics.smtp_sessions
        self.opened = metrics.smtp_sessions_opened
        self.received = metrics.smtp_received_bytes
        self._rejections = metrics.smtp_rejections
        self._refusals: dict[tuple[str, str], Counter] = {}
        self._per_client: dict[str, int] = {}
        self._waiting: deque[SmtpSession] = deque()
        self._turn_ends = False
        self.spent = 0
        """Octets of `TURN_BUDGET` that are spent in this turn."""

    def refused(self, stage: str, code: str) -> None:
        """Count a refusal; `stage` is one of those that the metric's help names."""
        child = self._refusals.get((stage, code))
        if child is None:
            child = self._refusals[stage, code] = self._rejections.labels(stage, code)
        child.inc()

    def charge(self, session: SmtpSession, octets: int) -> bool:
        """Spend from this turn's budget; False when `session` has to wait for `take_share` to be called."""
        self.spent += octets
        if not self._turn_ends:
            self._turn_ends = True
            session.loop.call_soon(self._next_turn, session.loop)
        if self.spent <= TURN_BUDGET:
            return True
        self._waiting.append(session)
        return False

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self.spent = 0
        waiting = self._waiting
        for _ in range(min(RESUMED_PER_TURN, len(waiting))):
            waiting.popleft().take_share()
        self._turn_ends = bool(waiting)
        if waiting:
            loop.call_soon(self._next_turn, loop)

    def admit(self, session: SmtpSession, address: str) -> bytes | None:
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
            self.refused("connect", refusal[:3].decode())
            return refusal
        self.sessions.add(session)
        self._per_client[address] = here + 1
        self.opened.inc()
        self.open_gauge.inc()
        return None

    def leave(self, session: SmtpSession, address: str) -> None:
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
