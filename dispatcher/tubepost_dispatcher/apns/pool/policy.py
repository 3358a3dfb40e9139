"""The policy of a pool, as pure functions: which connection gets how many requests, when to open another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PATIENCE = 0.05
"""Seconds for which requests may wait for a free stream before another connection is opened."""
MOST_DIALS = 4
"""Connections that are opened at the same time at most: many at once look like an attack to APNs."""
HEDGE = 2.0
"""Seconds after which an attempt to connect counts as hanging: another one is made beside it."""
LEAST_STREAMS = 100
"""A stream limit below this is taken for this when connections are counted: APNs lowers its limit to 1 for a
while after rejections, and that is no reason to open a connection for each request."""


def spread(loads: Sequence[tuple[int, int]], count: int) -> list[int]:
    """Distribute `count` requests over connections so that the fullest is as empty as possible.

    Args:
        loads: open streams and free streams of each connection.
        count: requests to place.

    Returns:
        How many each connection gets, never more than its free streams; together `count`, or all free ones.
    """
    if sum(free for _, free in loads) <= count:
        return [free for _, free in loads]
    # The highest level to which all can be filled with what there is, by bisection.
    low, high = 0, max(used + free for used, free in loads)
    while low < high:
        level = (low + high + 1) // 2
        if sum(min(free, max(0, level - used)) for used, free in loads) <= count:
            low = level
        else:
            high = level - 1
    shares = [min(free, max(0, low - used)) for used, free in loads]
    rest = count - sum(shares)
    for place, (used, free) in enumerate(loads):
        if not rest:
            break
        if shares[place] < free and used + shares[place] == low:
            shares[place] += 1
            rest -= 1
    return shares


@dataclass(frozen=True, slots=True)
class Demand:
    """What is known when opening another connection is considered."""

    left: int
    """Requests that found no free stream."""
    usable: int
    """Connections that take requests, now or when a stream is free."""
    unproven: int
    """Of these, those on which no push has been accepted yet."""
    dialling: int
    """Connections being opened."""
    most: int
    """Connections allowed; draining ones do not count."""
    starved_for: float
    """Seconds for which requests have been waiting for a stream."""
    stream_limit: int
    """The largest stream limit seen on the usable connections; 0 when there are none."""
    by_token: bool
    """Authentication is by provider token: APNs allows one stream until a push was accepted."""
    hanging: int = 0
    """Of those being opened, how many take longer than `HEDGE`."""


def dials_wanted(demand: Demand) -> int:
    """Say how many more connections to open now.

    The first at once. Another one only when requests have been waiting for `PATIENCE`: a burst that the
    open connections swallow in the meantime is no reason. With a provider token, one at a time and only
    when all open connections have been accepted, since until then each offers a single stream and waiting
    requests would open all that are allowed. None while all open connections allow no stream at all: another
    one would not either. An attempt that hangs does not count: another one is made beside it.
    """
    fresh = demand.dialling - demand.hanging
    room = min(demand.most - demand.usable - fresh, MOST_DIALS - demand.dialling)
    if not demand.left or room <= 0 or (demand.usable and not demand.stream_limit):
        return 0
    if demand.by_token:
        parallel = 0 if demand.unproven else 1
    else:
        per_connection = max(demand.stream_limit, LEAST_STREAMS)
        parallel = min(MOST_DIALS, -(-demand.left // per_connection))
    if not demand.usable:
        parallel = min(parallel, 1)  # the first one shows whether others can succeed
    elif demand.starved_for < PATIENCE:
        return 0
    return max(0, min(room, parallel - fresh))
