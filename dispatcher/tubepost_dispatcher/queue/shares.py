"""How much of a bounded memory each may have. Pure.

As in switches that share one buffer (dynamic thresholds): each may have as much as is free, or some times of
it. Whoever comes late finds room, whoever is alone may have most of it, and nothing is set aside for nobody.
"""

from __future__ import annotations


def group_room(window: int, active: int, free: int) -> int:
    """How many more a group of routes may have with delivery.

    Args:
        window: of the group, see `window.Window`.
        active: what it has.
        free: what nobody has. One group has as much as stays free, at most.
    """
    return min(window - active, free - active)


def lane_room(group: int, active: int, part: int, *, fresh: bool, backlog: bool) -> int:
    """How many more a lane may have with delivery.

    Args:
        group: room of its group. One lane has twice as much as stays free of it, at most.
        active: what the lane has.
        part: how many of these are as `fresh` says.
        fresh: for notifications that come from their sender; else for those that come from the store.
        backlog: some are due in the store. Then of what the lane may have one half is for fresh ones at most,
            and three quarters are for the others.
    """
    if group <= 0:
        return 0
    room = min(group, (2 * group - active + 2) // 3)
    if backlog and room > 0:
        limit = active + room
        room = min(room, ((limit + 1) // 2 if fresh else (3 * limit + 3) // 4) - part)
    return max(room, 0)
