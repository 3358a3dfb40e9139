"""A queue on a fake loop, over stores in memory, with pools that a test answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.dispatcher.delivery.support import FACTS, NAME, FakePool, Told, domain, notification
from tests.support.loop import FakeLoop
from tubepost_api.config import DeliveryConfig, EntryConfig
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain, Domains, Route
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Failure, Store

WALL = 1_800_000_000.0
"""Unix seconds at the fake loop's zero."""


class Bench:
    """One queue, and what it was told and told others.

    `stores`: the stores that it opens, by slot. `table`: the domains by name, in the place of the one domain.
    """

    def __init__(
        self,
        only: Domain | None = None,
        *pools: FakePool,
        loop: FakeLoop | None = None,
        stores: dict[int, Store] | None = None,
        table: dict[str, Domain] | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        **values: Any,
    ) -> None:
        self.wall_ahead = 0.0
        self.pools = pools or (FakePool(),)
        self.pool = self.pools[0]
        self.loop = loop or FakeLoop()
        self.told = Told()
        self.metrics = Metrics()
        self.domain = only or domain(*self.pools)
        self.answers: list[Failure | None] = []
        self.stores = {} if stores is None else stores
        self.table = {NAME: self.domain} if table is None else table
        self.deliverer = Deliverer(
            domains_of(self.table),
            (self.told.listener,),
            self.metrics,
            loop=self.loop,
            clock=lambda: self.loop.now,
            wall=self.wall,
            chance=chance,
        )
        self.queue = Queue(
            self.deliverer,
            domains_of(self.table),
            self.metrics,
            loop=self.loop,
            clock=lambda: self.loop.now,
            wall=self.wall,
            chance=chance,
            open_store=self._store,
            **values,
        )
        self.loop.run_until_idle()

    def wall(self) -> float:
        return WALL + self.loop.now + self.wall_ahead

    def _store(self, slot: int) -> Store:
        if slot not in self.stores:
            self.stores[slot] = MemoryStore(self.loop)
        return self.stores[slot]

    def notification(self, number: int, **values: Any) -> Notification:
        values.setdefault("accepted_at", self.wall())
        return notification(number, **values)

    def put(self, *numbers: int, **values: Any) -> Any:
        domain = self.table[values.get("domain", NAME)]
        items = [(self.notification(number, **values), domain) for number in numbers]
        return self.queue.put(items, self.answers.append)

    def stored(self, *numbers: int, **values: Any) -> None:
        """Put, and let it become durable."""
        self.put(*numbers, **values)
        self.loop.run_until_idle()
        assert self.answers.pop() is None

    def swap(self, only: Domain | None) -> None:
        self.table = {} if only is None else {NAME: only}
        self.deliverer.swap(domains_of(self.table))
        self.queue.swap(domains_of(self.table))
        self.loop.run_until_idle()

    @property
    def sent(self) -> list[str]:
        """Message ids that wait for APNs' answer."""
        return ids(self.pool)

    @property
    def ends(self) -> list[tuple[str, str]]:
        return self.told.ends


def ids(pool: FakePool) -> list[str]:
    """Message ids of what a pool has."""
    return [request.owner.notification.message_id for request in pool.requests]


def domains_of(table: dict[str, Domain]) -> Domains:
    """Domains by their exact names."""
    entries = tuple(
        EntryConfig(name=name, routes=tuple(route.name for route in one.routes), delivery=one.options)
        for name, one in table.items()
    )
    return Domains(DomainLookup(entries), tuple(table.values()))


def routed(name: str, pool: FakePool, options: DeliveryConfig | None = None) -> Domain:
    """A domain with one route of this name."""
    return Domain(options or DeliveryConfig(), [Route(name, pool, FACTS)])
