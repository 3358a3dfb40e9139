"""The state of one listener: configuration in force, open sessions and their counts, a coarse clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, Protocol

from prometheus_client import Counter

from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.networks import network_of
from tubepost_dispatcher.pod_limits.interface import PodLimits
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_dispatcher.smtp import journal, replies
from tubepost_dispatcher.smtp.admission import Rank, Shares, makes_room
from tubepost_dispatcher.smtp.auth_throttle import AuthThrottle
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.data import DataReceiver, Memory
from tubepost_dispatcher.smtp.message_ids import MessageIds, SessionIds
from tubepost_dispatcher.smtp.session_limits import Full, SessionLimits
from tubepost_dispatcher.smtp.turn_budget import TurnBudget
from tubepost_dispatcher.transaction import DomainT, SessionFacts

_FULL: Mapping[Full, bytes] = {
    Full.LISTENER: replies.TOO_MANY_CONNECTIONS,
    Full.CLIENT: replies.TOO_MANY_CLIENT_CONNECTIONS,
}


class OpenSession(Protocol):
    """A session as its listener knows it."""

    @property
    def client(self) -> str:
        """The client's address."""

    def rank(self) -> Rank | None:
        """See `admission.Ranked`."""

    def evict(self) -> None:
        """Make room for another client: say the last reply, and leave now."""

    def tick(self, now: float, timeout: float, interval: float) -> None:
        """Apply the time limits, once in `interval`. Seconds; `timeout` is for idle clients, 0 means none."""

    def shut_down(self, *, at_once: bool) -> None:
        """End between two transactions, or reset the connection now."""


class ListenerState(Generic[DomainT]):
    """State of one listener. `now` is monotonic seconds as of the last sweep, near enough for timeouts."""

    __slots__ = (
        "_refusals",
        "_rejections",
        "arrivals",
        "auth_throttle",
        "awaiting_header",
        "config",
        "draining",
        "emptied",
        "ids",
        "leaving",
        "memory",
        "now",
        "on_closed",
        "open_gauge",
        "opened",
        "overloaded",
        "received",
        "session_ids",
        "session_limits",
        "sessions",
        "shares",
        "temp_dir",
        "turns",
        "verbose",
        "warnings",
    )

    def __init__(
        self,
        config: EffectiveConfig[DomainT],
        metrics: Metrics,
        temp_dir: Path | None,
        now: float,
        limits: PodLimits | None = None,
    ) -> None:
        self.config = config
        self.temp_dir = temp_dir
        self.now = now
        self.draining = False
        """New sessions are refused, open ones end between two transactions."""
        self.leaving = False
        """Open sessions end between two transactions, new ones after their first message."""
        self.arrivals = 0
        """Sessions that have come, those that were refused included."""
        self.overloaded = False
        self.emptied: asyncio.Event | None = None
        self.verbose = journal.verbose()
        """Sessions are told command by command; as of the last sweep, since to ask for each would cost."""
        self.on_closed: Callable[[SessionFacts, float, int, int], None] | None = None
        """Told of each session that ended: its client, its seconds, messages and refusals."""
        self.ids = MessageIds()
        self.session_ids = SessionIds()
        self.memory = Memory()
        self.auth_throttle = AuthThrottle()
        self.awaiting_header = 0
        """Connections of load balancers whose PROXY header has not come yet."""
        self.turns = TurnBudget()
        self.sessions: set[OpenSession] = set()
        self.shares: Shares[OpenSession] = Shares()
        self.session_limits = SessionLimits(LocalLimits() if limits is None else limits)
        self.open_gauge = metrics.smtp_sessions
        self.opened = metrics.smtp_sessions_opened
        self.received = metrics.tally(metrics.smtp_received_bytes)
        self.warnings = metrics.smtp_warnings
        self._rejections = metrics.smtp_rejections
        self._refusals: dict[tuple[str, str], Counter] = {}

    @property
    def ending(self) -> bool:
        """Sessions are ended for the listener's sake, not for what they did."""
        return self.draining or self.leaving

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
        refusal = None
        self.arrivals += 1
        if self.draining:
            refusal = replies.SHUTTING_DOWN
        elif self.overloaded:
            refusal = replies.OVERLOADED
        elif not config.allows(address):
            refusal = replies.NOT_ALLOWED
        else:
            full = self._take_place(address)
            if full is not None:
                refusal = _FULL[full]
        if refusal is not None:
            self.refused("connect", replies.code(refusal))
            return refusal
        self.sessions.add(session)
        self.shares.enter(network_of(address), session)
        self.opened.inc()
        self.open_gauge.inc()
        return None

    def _take_place(self, address: str) -> Full | None:
        limits = self.config.limits
        full = self.session_limits.take(address, limits)
        if full is Full.LISTENER:
            other = makes_room(self.shares, network_of(address))
            if other is not None:
                other.evict()
                full = self.session_limits.take(address, limits)
        return full

    def timeout(self, address: str) -> float:
        """Seconds after which an idle client of this address is closed; 0 means never."""
        return self.config.timeout(scarce=self.session_limits.scarce(address, self.config.limits))

    def leave(self, session: OpenSession, address: str) -> None:
        """Count a session out again; without effect for one that was never admitted."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        self.open_gauge.dec()
        if self.emptied is not None and not self.sessions:
            self.emptied.set()
        self.shares.leave(network_of(address), session)
        self.session_limits.give(address)
