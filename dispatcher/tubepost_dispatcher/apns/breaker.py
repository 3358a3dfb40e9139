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
"""Refused tokens, from at least two senders, that trip the environment breaker."""
OTHERS_SHARE = 25
"""At least this many of them must come from senders other than the busiest one."""
DISTINCT_TOKENS_ONE_SENDER = 2000
"""Refused tokens that trip it even when one sender sent (nearly) all of them."""


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
    """Counts distinct refused device tokens since the last 200.

    Memory is bounded by the threshold. A 410 is not counted: such a token was valid once, here.
    """

    __slots__ = ("_by_sender", "_tokens")

    def __init__(self) -> None:
        self._tokens: set[bytes] = set()
        self._by_sender: dict[bytes, int] = {}

    @property
    def count(self) -> int:
        """Distinct tokens refused since the last success."""
        return len(self._tokens)

    def refused(self, token: bytes, sender: bytes) -> bool:
        """Count BadDeviceToken or DeviceTokenNotForTopic; True when the breaker trips (and starts anew)."""
        if token in self._tokens:
            return False
        self._tokens.add(token)
        self._by_sender[sender] = self._by_sender.get(sender, 0) + 1
        total = len(self._tokens)
        if total < DISTINCT_TOKENS:
            return False
        others = total - max(self._by_sender.values())
        if others >= OTHERS_SHARE or total >= DISTINCT_TOKENS_ONE_SENDER:
            self.success()
            return True
        return False

    def success(self) -> None:
        """Note a 200: the environment is right."""
        if self._tokens:
            self._tokens.clear()
            self._by_sender.clear()
