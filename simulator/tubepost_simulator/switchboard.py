"""The switches in force, with their countdowns and random numbers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from tubepost_simulator.chaos import Chaos, ChaosError, ConnectionAction, patch
from tubepost_simulator.reasons import Reason

_MAX_ATTEMPTS = 100_000


class Switchboard:
    """Decides, request by request, what the switches demand. One per simulator, without I/O."""

    def __init__(self, chaos: Chaos, seed: int | None = None) -> None:
        """Start with `chaos`; the same `seed` gives the same decisions.

        Raises:
            ChaosError: shares of errors add up to more than 1.
        """
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrets
        self._attempts: dict[str, int] = {}
        self._requests = 0
        self._set(chaos)

    def _set(self, chaos: Chaos) -> None:
        if sum(chaos.errors.values()) > 1:
            raise ChaosError("errors", "the shares add up to more than 1")
        self.chaos = chaos
        self._refuse_next = chaos.refuse_next
        self._fail_next = {reason: count for reason, count in chaos.fail_next.items() if count}

    def current(self) -> Chaos:
        """The switches, with what is left of `refuse_next` and `fail_next`."""
        return self.chaos.model_copy(
            update={"refuse_next": self._refuse_next, "fail_next": dict(self._fail_next)}
        )

    def patch(self, changes: Mapping[str, Any]) -> ConnectionAction | None:
        """Change switches (see `chaos.patch`); returns the action to carry out.

        Raises:
            ChaosError: nothing was changed.
        """
        chaos, action = patch(self.current(), changes)
        self._set(chaos)
        return action

    def refuses(self) -> bool:
        """Whether the request that has just come is to be refused unseen. Call once per request."""
        self._requests += 1
        if self._refuse_next:
            self._refuse_next -= 1
            return True
        every = self.chaos.refuse_every
        return every > 0 and self._requests % every == 0

    def failure(self, token: str = "") -> Reason | None:
        """The reason to answer an otherwise accepted request with. Call once per such request.

        `token` is the device's, lower-case; empty of a broadcast.
        """
        if self.chaos.devices:
            reason = self.chaos.devices.get(token)
            if reason is not None:
                return reason
        for reason, left in self._fail_next.items():
            if left == 1:
                del self._fail_next[reason]
            else:
                self._fail_next[reason] = left - 1
            return reason
        if not self.chaos.errors:
            return None
        dice = self._random.random()
        for reason, share in self.chaos.errors.items():
            if dice < share:
                return reason
            dice -= share
        return None

    def delay(self) -> float:
        """Seconds to wait before the answer."""
        chaos = self.chaos
        if not chaos.jitter_ms:
            return chaos.latency_ms / 1000
        return (chaos.latency_ms + self._random.random() * chaos.jitter_ms) / 1000

    def attempt(self, apns_id: str) -> int:
        """Count an attempt at an apns-id with a magic token; 1 for the first. Forgets the oldest of many."""
        number = self._attempts.pop(apns_id, 0) + 1
        self._attempts[apns_id] = number
        if len(self._attempts) > _MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        return number
