"""Who makes room when all places are taken and another client comes. Pure.

Clients share the places evenly: the one that holds the most gives one up to a client that would still hold
fewer with it. Which of its sessions, `Rank` says. A newcomer whose client holds about as much as any other
is refused; what is idle then makes room by the time limits, which are short while places are scarce.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar

RECENTLY = 60.0
"""Seconds after an accepted message during which its session is spared before others."""


CLIENTS_ASKED = 8
"""The largest clients whose sessions are looked at; all those of the first ones may wait for replies."""


class Rank(NamedTuple):
    """The order in which sessions of one client are closed: the lowest first."""

    merit: int
    """0: the last reply is said; 1: idle; more for a transaction, for AUTH, and most for a recent message."""
    active: float
    """When the client last did something useful, in monotonic seconds."""


def rank(
    *,
    closing: bool,
    transaction: bool,
    authenticated: bool,
    accepted: float | None,
    active: float,
    now: float,
) -> Rank:
    """Rank a session.

    Args:
        closing: only the last reply has to leave.
        transaction: one is open.
        authenticated: by AUTH.
        accepted: when its last message was accepted, in monotonic seconds; None: none was.
        active: when the client last did something useful.
        now: monotonic seconds.
    """
    if closing:
        return Rank(0, active)
    recent = accepted is not None and now - accepted < RECENTLY
    return Rank(1 + transaction + 2 * authenticated + 4 * recent, active)


class Ranked(Protocol):
    """A session that may be asked to make room."""

    def rank(self) -> Rank | None:
        """Its rank now; None while it waits for the reply to a message, which is never taken back."""


RankedT = TypeVar("RankedT", bound=Ranked)


class Shares(Generic[RankedT]):
    """The sessions of each client, and who holds the most. Entering and leaving take constant time."""

    __slots__ = ("_by_client", "_by_count")

    def __init__(self) -> None:
        self._by_client: dict[str, dict[RankedT, None]] = {}
        self._by_count: dict[int, dict[str, None]] = {}
        """Clients by the number of their sessions."""

    def enter(self, client: str, session: RankedT) -> None:
        """A session of `client` was opened."""
        sessions = self._by_client.setdefault(client, {})
        sessions[session] = None
        self._recount(client, len(sessions) - 1, len(sessions))

    def leave(self, client: str, session: RankedT) -> None:
        """A session of `client` was closed."""
        sessions = self._by_client[client]
        del sessions[session]
        if not sessions:
            del self._by_client[client]
        self._recount(client, len(sessions) + 1, len(sessions))

    def _recount(self, client: str, before: int, now: int) -> None:
        if before:
            clients = self._by_count[before]
            del clients[client]
            if not clients:
                del self._by_count[before]
        if now:
            self._by_count.setdefault(now, {})[client] = None

    def of(self, client: str) -> int:
        """How many sessions `client` has."""
        return len(self._by_client.get(client, ()))

    def largest(self) -> Iterator[Collection[RankedT]]:
        """The sessions of each client, the largest client first."""
        for count in sorted(self._by_count, reverse=True):
            for client in self._by_count[count]:
                yield self._by_client[client]


def makes_room(shares: Shares[RankedT], client: str) -> RankedT | None:
    """The session to close for one more of `client`; None when it has to be refused."""
    enough = shares.of(client) + 1
    for sessions in islice(shares.largest(), CLIENTS_ASKED):
        if len(sessions) <= enough:
            return None
        found: RankedT | None = None
        lowest: Rank | None = None
        for session in sessions:
            its = session.rank()
            if its is not None and (lowest is None or its < lowest):
                found, lowest = session, its
        if found is not None:
            return found
    return None
