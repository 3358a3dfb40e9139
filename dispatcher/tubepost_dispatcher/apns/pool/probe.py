"""A request that tests a route in doubt."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Final

from tubepost_dispatcher.apns.connection import Request
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome

PATIENCE: Final = 0.5
"""Seconds after which the owner of a request that serves as a probe is told that there was no answer."""


class Probe:
    """A copy of a request, sent in its place.

    The route is tested for the whole response timeout, but a request that is sent for the first time does not
    wait for that: it is not its fault that it came when a probe was due. One that was sent before has paid
    already, and takes what comes.
    """

    __slots__ = ("_original", "_tell", "_timer", "_told", "request")

    def __init__(
        self, original: Request, tell: Callable[[Request, Outcome], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._original = original
        self._tell = tell
        self._told = False
        self._timer = loop.call_later(PATIENCE, self._late) if not original.sent_at else None
        self.request = copy.copy(original)
        """What is to be sent."""
        self.request.on_outcome = self._answered

    def _answered(self, request: Request, outcome: Outcome) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._told:
            self._original.sent_at = request.sent_at
            self._tell(self._original, outcome)

    def _late(self) -> None:
        self._told = True
        self._original.sent_at = self.request.sent_at
        detail = f"no answer in {PATIENCE:g} s while the route is in doubt"
        self._tell(self._original, local_outcome("ResponseTimeout", detail, possible_double=True))
