"""How often a client may guess at passwords. Pure: the time is an argument, in monotonic seconds.

Failures of one client (an IPv4 address, a /64 of IPv6) make it wait, twice as long each time, and nothing is
compared while it waits. Clients share addresses, behind a Service or NAT: a name that has authenticated
from there waits for failures of its own only, and not for long, so that nobody can lock it out by guessing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, TypeVar

from tubepost_dispatcher.networks import network_of
from tubepost_runtime.backoff import Exponential

FREE: Final = 5
"""Failures that cost nothing."""
FIRST_WAIT: Final = 1.0
"""Seconds after the failure that is one too many; doubled by each further one."""
LONGEST_WAIT: Final = 60.0
"""Seconds, at most."""
LONGEST_WAIT_OF_PROVED: Final = 5.0
"""Seconds that a name waits, at most, which has authenticated from the same client before."""
FORGOTTEN_AFTER: Final = 600.0
"""Seconds without a failure after which a client starts from zero."""
MAX_KEPT: Final = 4_096
"""Clients with failures, and names that have authenticated, that are remembered; the latest ones."""


class _Failures:
    __slots__ = ("count", "until")

    def __init__(self) -> None:
        self.count = 0
        self.until = 0.0
        """The end of the current wait."""


class AuthThrottle:
    """The failed authentications of all clients of one listener."""

    __slots__ = ("_failures", "_proved")

    def __init__(self) -> None:
        self._failures: OrderedDict[Hashable, _Failures] = OrderedDict()
        """By client, or by client and name for a name in `_proved`."""
        self._proved: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def wait(self, address: str, name: bytes, now: float) -> float:
        """Seconds until a password for `name` from `address` may be compared; 0 means now."""
        key, _ = self._key(address, name)
        found = self._failures.get(key)
        return max(found.until - now, 0.0) if found is not None else 0.0

    def failed(self, address: str, name: bytes, now: float) -> None:
        """Name or password were wrong."""
        key, longest = self._key(address, name)
        found = self._failures.get(key)
        if found is None or now - found.until > FORGOTTEN_AFTER:
            found = self._failures[key] = _Failures()
        found.count += 1
        over = found.count - FREE
        found.until = now + (Exponential(FIRST_WAIT, longest).delay(over + 1) if over >= 0 else 0.0)
        _keep_latest(self._failures, key)

    def succeeded(self, address: str, name: bytes) -> None:
        """`name` has authenticated. Failures of its client with other names are not forgiven by that."""
        pair = network_of(address), name
        self._proved[pair] = None
        _keep_latest(self._proved, pair)
        self._failures.pop(pair, None)

    def _key(self, address: str, name: bytes) -> tuple[Hashable, float]:
        client = network_of(address)
        pair = client, name
        if pair in self._proved:
            return pair, LONGEST_WAIT_OF_PROVED
        return client, LONGEST_WAIT


KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


def _keep_latest(kept: OrderedDict[KeyT, ValueT], key: KeyT) -> None:
    kept.move_to_end(key)
    if len(kept) > MAX_KEPT:
        kept.popitem(last=False)
