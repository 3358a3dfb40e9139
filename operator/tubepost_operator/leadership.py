"""What runs while this replica is the leader: watches, queue, resync and scraping."""

from __future__ import annotations

import asyncio
import logging

from tubepost_operator.api import ClusterApi, WatchEvent, WatchSource
from tubepost_operator.cache import Cache
from tubepost_operator.controller import Controller
from tubepost_operator.enqueue import Enqueuer
from tubepost_operator.kinds import CONFIG_MAP, POD, PUSH_DOMAIN, RELATED, SECRET
from tubepost_operator.liveness import Liveness
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.own_watch import OwnWatch, WatchOwn
from tubepost_operator.pods import PodAsker
from tubepost_operator.scrape import Scraper
from tubepost_operator.settings import Settings

_LOG = logging.getLogger("tubepost.leadership")


class Leadership:
    """Syncs the cache, then reconciles what changes. Created whenever this replica becomes the leader.

    Args:
        settings: the operator's.
        cluster: the API server.
        watch_own: watches our own kinds.
        asker: asks pods for their metrics.
        metrics: counts.
        liveness: is told of the watches of our own kinds.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        watch_own: WatchOwn,
        asker: PodAsker,
        metrics: OperatorMetrics,
        liveness: Liveness,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self.cache = Cache()
        self.controller = Controller(settings, cluster, self.cache, asker, metrics)
        self.scraper = Scraper(settings, cluster, self.cache, asker, self.controller.changed)
        self._enqueuer = Enqueuer(self.cache, self.controller.changed)
        self._own = [
            OwnWatch(
                cluster,
                watch_own,
                namespace,
                self._enqueuer,
                self.cache.access,
                liveness,
                self._access_changed,
            )
            for namespace in self._namespaces()
        ]
        self.synced = False
        """Whether the cache has everything that was there at the beginning, but for what is refused."""

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            ExceptionGroup: of NotLeader when the Lease is lost, of others when something is broken.
        """
        async with asyncio.TaskGroup() as group:
            waiting = [self._watch(group, source) for source in self._sources()]
            for settled in waiting:
                await settled.wait()
            for own in self._own:
                group.create_task(own.run())
            for own in self._own:
                await own.listed.wait()
            self.synced = True
            _LOG.info("caches synced: %d objects", len(self.cache.keys()))
            self.controller.begin()
            group.create_task(self.controller.run())
            group.create_task(self._resync())
            group.create_task(self.scraper.run())

    @property
    def blind(self) -> str:
        """Why no PushDomain at all can be seen; empty when some can."""
        return self.cache.access.blind(PUSH_DOMAIN)

    # -- watches --------------------------------------------------------------------------------------

    def _namespaces(self) -> tuple[str | None, ...]:
        return self._settings.namespaces or (None,)

    def _sources(self) -> list[WatchSource]:
        result = []
        for namespace in self._namespaces():
            where = f" in {namespace}" if namespace else ""
            result.append(WatchSource(f"{SECRET.plural}{where}", SECRET, namespace))
            result.append(
                WatchSource(f"configmaps of users{where}", CONFIG_MAP, namespace, Names.FOREIGN_SELECTOR)
            )
            result += [
                WatchSource(f"{kind.plural}{where}", kind, namespace, Names.CHILD_SELECTOR)
                for kind in RELATED.values()
            ]
            result.append(WatchSource(f"{POD.plural}{where}", POD, namespace, Names.CHILD_SELECTOR))
            result.append(WatchSource(f"sidecars{where}", POD, namespace, Names.INJECT_LABEL))
        return result

    def _watch(self, group: asyncio.TaskGroup, source: WatchSource) -> asyncio.Event:
        settled = asyncio.Event()
        access = self.cache.access
        access.expect(source)

        def tell(event: WatchEvent) -> None:
            if event.type == "Sync":
                access.completed(source)
                settled.set()
            elif event.type == "Refused":
                if access.refused(source, event.document["status"], event.document["message"]):
                    self._access_changed(source)
                settled.set()
            elif event.type == "Restored":
                if access.restored(source):
                    self._access_changed(source)
            elif source.kind is SECRET:
                self._enqueuer.secret(event)
            elif source.selector == Names.FOREIGN_SELECTOR:
                self._enqueuer.config_map(event)
            else:
                self._enqueuer.child(source.kind.name, event)

        group.create_task(self._cluster.watch(source, tell))
        return settled

    def _access_changed(self, source: WatchSource) -> None:
        """Something is refused, or is not any more: those whom it concerns are told."""
        text = self.cache.access.why(source)
        if text:
            _LOG.warning("%s", text)
        else:
            _LOG.info("%s: watched again", source.name)
        if self.synced:
            known = self.cache.keys()
            self.controller.changed(key for key in known if source.namespace in {None, key.namespace})

    # -- resync ---------------------------------------------------------------------------------------

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync)
            for own in self._own:
                await own.list()
            self.controller.enqueue_all()
