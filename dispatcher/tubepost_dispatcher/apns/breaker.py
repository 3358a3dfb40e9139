"""Circuit breakers: when a route must not be used. Pure; the time is passed in (monotonic seconds).

`Hold` is open while APNs refuses the credential: one probe per interval, nothing else.
`EnvironmentBreaker` detects that Sandbox and Production have been mixed up.
"""

from __future__ import annotations

import math

from tubepost_runtime.backoff import Backoff, Exponential

HOLD_FIRST = 5.0
"""Seconds until the first probe of a held route; doubles with every probe that fails."""
HOLD_MOST = 300.0
"""Seconds between two probes at most."""

DISTINCT_TOKENS = 100
"""Refused tokens, from at least two sources, that trip the environment breaker."""
OTHERS_SHARE = 25
"""At least this many of them must come from sources other than the busiest one."""
DISTINCT_TOKENS_ONE_SOURCE = 2000
"""Refused tokens that trip it even when one source sent (nearly) all of them."""
BLAMED_FROM = 5
"""Refused tokens from which on a source is blamed when the breaker trips, and while it is tripped."""
MOST_BLAMED = 10_000
"""Sources that are remembered as blamed."""
PROOF = 300.0
"""Seconds for which a 200 proves that the environment is right."""


class Hold:
    """A hold with probes.

    `admit` is asked for every request; while held it lets one through per interval. Results of requests that
    were sent before the hold began are ignored: they say nothing new.
    """

    __slots__ = ("_backoff", "_interval", "_probing", "_since", "_until", "detail", "reason")

    def __init__(self) -> None:
        self._backoff = _probes(HOLD_FIRST)
        self._interval = 0.0
        self._until = 0.0
        self._since = -math.inf
        self._probing = False
        self.reason = ""
        """Why it is held, one of `reasons.catalogue`; empty when it is not."""
        self.detail = ""
        """A sentence for people."""

    @property
    def held(self) -> bool:
        """True from the first refusal until the credential is accepted again."""
        return bool(self.reason)

    @property
    def until(self) -> float:
        """When the next probe is let through; 0.0 when not held."""
        return self._until if self.reason else 0.0

    def admit(self, now: float) -> bool:
        """Say whether a request may be sent now; True while held makes it the probe of this interval."""
        if not self.reason:
            return True
        if now < self._until:
            return False
        # The next probe is due after another interval even if this one is never answered.
        self._probing = True
        self._until = now + self._interval
        return True

    def open_to_probe(self, now: float) -> bool:
        """As `admit`, without taking the probe."""
        return not self.reason or now >= self._until

    def failure(self, now: float, sent_at: float, reason: str, detail: str = "") -> bool:
        """Note that APNs refused the credential; True when that begins or prolongs the hold."""
        if not self.reason:
            self._backoff = _probes(HOLD_FIRST)
        elif not self._probing or sent_at < self._since:
            return False
        self._interval = self._backoff.failure(now)
        self._probing = False
        self._since = now
        self._until = now + self._interval
        self.reason = reason
        self.detail = detail
        return True

    def success(self, sent_at: float) -> bool:
        """Note that APNs accepted the credential; True when that ended the hold."""
        if not self.reason or sent_at < self._since:
            return False
        self.reason = self.detail = ""
        self._until = 0.0
        self._probing = False
        return True

    def adopt(self, now: float, seconds: float, reason: str, detail: str) -> bool:
        """Take over a hold that another process found, for `seconds`; True unless held already."""
        if self.reason:
            return False
        self._backoff = _probes(max(HOLD_FIRST, seconds))
        self._interval = self._backoff.failure(now)
        self._probing = False
        self._since = now
        self._until = now + seconds
        self.reason = reason
        self.detail = detail
        return True

    def release(self) -> None:
        """End the hold: another process' probe succeeded."""
        self.success(math.inf)


def _probes(first: float) -> Backoff:
    return Backoff(Exponential(first, HOLD_MOST))


class EnvironmentBreaker:
    """Counts the distinct device tokens that were refused since the last 200, by source.

    A source is who sent the notification in: an authenticated user, or a client's address. What MAIL FROM
    says is no source, since VERP and forgers write another one into each message. A 200 says that the
    environment is right: for `PROOF` seconds no list of old tokens, however long, says otherwise. When it
    trips, it blames the sources that brought the refused tokens, and a hold that follows concerns them and
    nobody else.

    Memory is bounded by the thresholds. A 410 is not counted: such a token was valid once, here.
    """

    __slots__ = ("_accepted_at", "_by_source", "_tokens", "blamed")

    def __init__(self) -> None:
        self._tokens: set[bytes] = set()
        self._by_source: dict[bytes, int] = {}
        self._accepted_at = -math.inf
        self.blamed: frozenset[bytes] = frozenset()
        """The sources that brought refused tokens, from a trip until the next 200."""

    @property
    def count(self) -> int:
        """Distinct tokens refused since the last success."""
        return len(self._tokens)

    def refused(self, token: bytes, source: bytes, now: float) -> bool:
        """Count BadDeviceToken or DeviceTokenNotForTopic; True when the breaker trips (and starts anew)."""
        if now < self._accepted_at + PROOF or token in self._tokens:
            return False
        self._tokens.add(token)
        mine = self._by_source[source] = self._by_source.get(source, 0) + 1
        if self.blamed:
            self._widen(source, mine)
            return False
        total = len(self._tokens)
        if total < DISTINCT_TOKENS:
            return False
        others = total - max(self._by_source.values())
        if others >= OTHERS_SHARE or total >= DISTINCT_TOKENS_ONE_SOURCE:
            self.blamed = frozenset(who for who, count in self._by_source.items() if count >= BLAMED_FROM)
            self._forget()
            return True
        return False

    def _widen(self, source: bytes, mine: int) -> None:
        """While sources are blamed, blame another one as soon as it brings a few such tokens too."""
        if mine >= BLAMED_FROM and len(self.blamed) < MOST_BLAMED:
            self.blamed |= {source}
        if len(self._tokens) >= DISTINCT_TOKENS_ONE_SOURCE:
            self._forget()

    def success(self, now: float) -> None:
        """Note a 200: the environment is right."""
        self._accepted_at = now
        if self._tokens or self.blamed:
            self._forget()
            self.blamed = frozenset()

    def _forget(self) -> None:
        self._tokens.clear()
        self._by_source.clear()
