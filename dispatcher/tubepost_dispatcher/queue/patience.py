"""How long the queue tries, by domain: made once for each domain of a configuration."""

from __future__ import annotations

from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.delivery.schedule import Schedule


class Patience:
    """The schedules of the domains in force."""

    def __init__(self) -> None:
        self._known: dict[Domain, tuple[Schedule, RetryPolicy]] = {}

    def clear(self) -> None:
        """Another configuration is in force."""
        self._known.clear()

    def of(self, domain: Domain) -> tuple[Schedule, RetryPolicy]:
        """The schedule of a domain, and what it means for delivery."""
        found = self._known.get(domain)
        if found is None:
            schedule = Schedule.of(domain.options)
            found = self._known[domain] = (schedule, schedule.policy())
        return found
