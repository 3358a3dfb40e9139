"""What runs while this replica is the leader: watches, queue, resync and scraping."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tubepost_operator.api import ApiError, ClusterApi, WatchEvent, WatchSource
from tubepost_operator.cache import Cache
from tubepost_operator.controller import Controller
from tubepost_operator.enqueue import Enqueuer
from tubepost_operator.kinds import CHILDREN, OWN, POD, SECRET
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.pods import PodAsker
from tubepost_operator.scrape import Scraper
from tubepost_operator.settings import Settings

_LOG = logging.getLogger("tubepost.leadership")

ABSENT_KINDS_INTERVAL: Final = 2.0
"""Seconds between two attempts to list our kinds while their definitions are not installed."""

WatchOwn = Callable[[Callable[[bool, dict[str, Any]], None]], Coroutine[Any, Any, None]]
"""Watches our own kinds until cancelled; calls back with each object, and whether it was deleted."""


class Leadership:
    """Syncs the cache, then reconciles what changes. Created whenever this replica becomes the leader.

    Args:
        settings: the operator's.
        cluster: the API server.
        watch_own: watches our own kinds.
        asker: asks pods for their metrics.
        metrics: counts.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        watch_own: WatchOwn,
        asker: PodAsker,
        metrics: OperatorMetrics,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._watch_own = watch_own
        self.cache = Cache()
        self.controller = Controller(settings, cluster, self.cache, asker, metrics)
        self.scraper = Scraper(settings, cluster, self.cache, asker, self.controller.changed)
        self._enqueuer = Enqueuer(self.cache, self.controller.changed)
        self.synced = False
        """Whether the cache has everything that was there at the beginning."""

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            ExceptionGroup: of NotLeader when the Lease is lost, of others when something is broken.
        """
        async with asyncio.TaskGroup() as group:
            waiting = [self._watch(group, source) for source in self._sources()]
            for synced in waiting:
                await synced.wait()
            await self._list_own(patient=True)
            self.synced = True
            _LOG.info("caches synced: %d objects", len(self.cache.keys()))
            self.controller.begin()
            group.create_task(self._watch_own(self._enqueuer.own))
            group.create_task(self.controller.run())
            group.create_task(self._resync())
            group.create_task(self.scraper.run())

    # -- watches --------------------------------------------------------------------------------------

    def _namespaces(self) -> tuple[str | None, ...]:
        return self._settings.namespaces or (None,)

    def _sources(self) -> list[WatchSource]:
        result = []
        for namespace in self._namespaces():
            where = f" in {namespace}" if namespace else ""
            result.append(WatchSource(f"{SECRET.plural}{where}", SECRET, namespace))
            result += [
                WatchSource(f"{kind.plural}{where}", kind, namespace, Names.CHILD_SELECTOR)
                for kind in CHILDREN.values()
            ]
            result.append(WatchSource(f"{POD.plural}{where}", POD, namespace, Names.CHILD_SELECTOR))
            result.append(WatchSource(f"sidecars{where}", POD, namespace, Names.INJECT_LABEL))
        return result

    def _watch(self, group: asyncio.TaskGroup, source: WatchSource) -> asyncio.Event:
        synced = asyncio.Event()

        def tell(event: WatchEvent) -> None:
            if event.type == "Sync":
                synced.set()
            elif source.kind is SECRET:
                self._enqueuer.secret(event)
            else:
                self._enqueuer.child(source.kind.name, event)

        group.create_task(self._cluster.watch(source, tell))
        return synced

    # -- our own kinds --------------------------------------------------------------------------------

    async def _list_own(self, *, patient: bool = False) -> None:
        """List our kinds, and enqueue what a watch missed.

        Raises:
            ApiError: not listed.
        """
        for kind in OWN.values():
            for namespace in self._namespaces():
                while True:
                    try:
                        documents = await self._cluster.list(kind, namespace)
                    except ApiError as error:
                        if not patient:
                            raise
                        _LOG.warning("%s cannot be listed yet: %s", kind.plural, error)
                        await asyncio.sleep(ABSENT_KINDS_INTERVAL)
                        continue
                    self._enqueuer.listed(kind.name, documents, (namespace,) if namespace else ())
                    break

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync)
            try:
                await self._list_own()
            except ApiError as error:
                _LOG.warning("resync: %s", error)
            self.controller.enqueue_all()
