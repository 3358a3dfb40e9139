"""What a route's answers, and their absence, say about it. Pure: times are monotonic seconds, passed in.

A route is in doubt from the first request that timed out while nothing at all was answered, until anything
is. Meanwhile one request at a time tests it, at growing intervals, and nobody else waits for it. It rests
where APNs said for how long (Retry-After). And connections are replaced at growing intervals while one after
the other is given up without a single push accepted: many connections in a row are an attack to APNs.
"""

from __future__ import annotations

import math

from tubepost_runtime.backoff import Backoff, Exponential

GRACE = 0.75
"""Seconds from the beginning of a doubt for which requests wait for the first probe's answer, lest they come
back although a new connection is all that was needed."""
MOST_REST = 300.0
"""Seconds for which a route rests at most, whatever Retry-After says."""
FREE_REPLACEMENTS = 1
"""Connections that are replaced at once, although no push was accepted since the one before."""
PACED_FROM = 3
"""Replacements without an accepted push after which requests do not wait for the next connection."""

TURNED_AWAY = 150
"""Requests that did not come here since the last probe, after which another one is due all the same."""
LEAST_INTERVAL = 1.0
"""Seconds between two probes at least."""

_PROBES = Exponential(first=2.0, most=10.0)
_REPLACEMENTS = Exponential(first=0.5, most=10.0)


class RouteHealth:
    """The health of one route, as one pool knows it."""

    __slots__ = (
        "_pace",
        "_probes",
        "_replaced_at",
        "answered_at",
        "doubted_since",
        "grace_until",
        "paced_until",
        "probe_at",
        "probed_at",
        "replacements",
        "rest_detail",
        "rest_until",
        "turned_away",
        "unanswered",
    )

    def __init__(self) -> None:
        self.answered_at = -math.inf
        """When anything was last answered."""
        self.doubted_since = math.inf
        """When the present doubt began; infinity without one."""
        self.unanswered = 0
        """Requests that timed out in the present doubt."""
        self.grace_until = 0.0
        """Until then requests wait for the first probe of the doubt."""
        self.probe_at = 0.0
        """In doubt, when the next request may be sent."""
        self.replacements = 0
        """Connections given up since a push was last accepted."""
        self.paced_until = 0.0
        """No connection should be opened before."""
        self.rest_until = 0.0
        """Nothing should be sent before: APNs said so."""
        self.rest_detail = ""
        self.turned_away = 0.0
        """Requests that did not come here, or came back at once, since the last probe."""
        self.probed_at = -math.inf
        """When a probe was last sent."""
        self._probes = Backoff(_PROBES)
        self._pace = Backoff(_REPLACEMENTS)
        self._replaced_at = -math.inf

    # -- doubt ---------------------------------------------------------------------------------------

    @property
    def in_doubt(self) -> bool:
        """Whether requests time out and nothing is answered."""
        return self.doubted_since != math.inf

    def answered(self, now: float) -> bool:
        """Note an answer, whatever it says; True when it ends a doubt."""
        self.answered_at = now
        if self.doubted_since == math.inf:
            return False
        self.doubted_since = math.inf
        self._probes.success()
        return True

    def timed_out(self, sent_at: float, now: float) -> bool:
        """Note a request without an answer; True when that begins a doubt."""
        if self.in_doubt:
            self.unanswered += 1
            return False
        if self.answered_at >= sent_at:
            return False  # others were answered since: it is not the route
        self.doubted_since = self.probe_at = now
        self.grace_until = now + GRACE
        self.unanswered = 1
        self.turned_away = 0.0
        return True

    def may_send(self, now: float) -> bool:
        """Whether anything may be sent: in doubt, whether a probe is due.

        That is so at growing intervals; where there is much traffic, also for one request in so many.
        """
        if not self.in_doubt:
            return True
        many = self.turned_away >= TURNED_AWAY and now >= self.probed_at + LEAST_INTERVAL
        # A probe takes a connection of its own; whoever sends it must not wait for that to be allowed.
        return (now >= self.probe_at or many) and now >= self.paced_until

    def probed(self, now: float) -> None:
        """Note that a probe was sent."""
        self.probe_at = now + self._probes.failure(now)
        self.probed_at = now
        self.turned_away = 0.0

    def silence(self, now: float) -> str:
        """Say, for people, for how long nothing was answered."""
        if self.answered_at == -math.inf:
            return "nothing was ever answered"
        return f"nothing was answered for {now - self.answered_at:.0f} s"

    # -- pace ----------------------------------------------------------------------------------------

    def accepted(self) -> None:
        """Note a 200."""
        if self.replacements:
            self.replacements = 0
            self.paced_until = 0.0
            self._pace.success()

    def replaced(self, opened_at: float, now: float) -> None:
        """Note a connection that is given up for another one; those of one wave count once."""
        if opened_at < self._replaced_at:
            return
        self._replaced_at = now
        self.replacements += 1
        if self.replacements > FREE_REPLACEMENTS:
            self.paced_until = now + self._pace.failure(now)

    def describe(self, now: float) -> dict[str, float | None]:
        """Facts for the status page, in seconds; None where it does not apply."""
        return {
            "silentSinceSeconds": round(now - self.doubted_since, 1) if self.in_doubt else None,
            "pausedSeconds": round(self.rest_until - now, 1) if now < self.rest_until else None,
        }

    # -- rest ----------------------------------------------------------------------------------------

    def rest(self, seconds: float, detail: str, now: float) -> bool:
        """Rest because APNs said so; True unless it rests already."""
        begins = now >= self.rest_until
        self.rest_until = max(self.rest_until, now + min(seconds, MOST_REST))
        self.rest_detail = detail
        return begins
