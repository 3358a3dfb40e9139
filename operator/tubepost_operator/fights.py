"""Fights over a child: somebody changes again and again what we put back. Pure.

The first times a change is put back at once: it was somebody's mistake. Then ever later, since whoever it is
does not give up, and pods come and go with every turn; and the condition says so until there has been peace
for a while. An autoscaler makes no mistake: it is put back at once only the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tubepost_operator.observed import Fight, Key, Repair
from tubepost_runtime.backoff import Exponential

FREE: Final = 3
"""Times that a change is put back at once."""
PEACE: Final = 900.0
"""Seconds without a change after which a fight is over."""
_DELAYS: Final = Exponential(15.0, 600.0)
_DELAYS_OF_SCALE: Final = Exponential(120.0, 600.0)
"""Autoscalers come every 15 s; with each turn pods are started, drained and stopped."""


@dataclass(slots=True)
class _Record:
    repair: Repair
    times: int = 0
    last: float = 0.0


@dataclass(slots=True)
class Fights:
    """Remembers how often which child was put back."""

    _records: dict[Key, _Record] = field(default_factory=dict)

    def put_back(self, child: Key, repair: Repair, now: float) -> None:
        """A child was put back."""
        record = self._records.setdefault(child, _Record(repair))
        if now - record.last > PEACE:
            record.times = 0
        record.times += 1
        record.last, record.repair = now, repair

    def of(self, child: Key, now: float) -> Fight | None:
        """The fight over a child, None where there is none."""
        record = self._records.get(child)
        if record is None:
            return None
        free, delays = (1, _DELAYS_OF_SCALE) if record.repair.autoscaled else (FREE, _DELAYS)
        if record.times < free:
            return None
        if now - record.last > PEACE:
            del self._records[child]
            return None
        due = record.last + delays.delay(record.times - free + 1)
        return Fight(record.times, max(0.0, due - now), record.last + PEACE - now, record.repair)

    def forget(self, child: Key) -> None:
        """The child is gone."""
        self._records.pop(child, None)
