"""A term of leadership: everything that runs while the Lease is ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from tubepost_operator.api import ApiError, ClusterApi, WatchEvent, WatchSource
from tubepost_operator.cache import Cache
from tubepost_operator.controller import Controller
from tubepost_operator.enqueue import Enqueuer
from tubepost_operator.gather import Gatherer
from tubepost_operator.kinds import CHILDREN, OWN, POD, SECRET
from tubepost_operator.live_status import Rates
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.observed import Key, LiveStatus, PodReport
from tubepost_operator.pods import PodAsker, PodDetails
from tubepost_operator.settings import Settings

_LOG = logging.getLogger("tubepost.leadership")

ABSENT_KINDS_INTERVAL: Final = 2.0
"""Seconds between two looks for our kinds while they are not there."""

WatchOwn = Callable[[Callable[[bool, dict[str, Any]], None]], Coroutine[Any, Any, None]]
"""Watches our own kinds until cancelled, and tells of each object whether it is gone."""


class Leadership:
    """Gathers what there is, then follows what changes.

    Args:
        settings: the operator's.
        cluster: the API server.
        watch_own: watches our own kinds.
        asker: asks pods.
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
        self._asker = asker
        self.cache = Cache()
        self._gatherer = Gatherer(settings, cluster, self.cache, asker)
        self.controller = Controller(settings, cluster, self.cache, self._gatherer, metrics)
        self._enqueuer = Enqueuer(self.cache, self._gatherer, self.controller.changed)
        self._rates: dict[Key, Rates] = {}
        self.synced = False
        """Whether everything that was there has been seen."""

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
            _LOG.info("everything is known: %d objects", len(self.cache.keys()))
            self.controller.begin()
            group.create_task(self._watch_own(self._enqueuer.own))
            group.create_task(self.controller.run())
            group.create_task(self._resync())
            group.create_task(self._follow_facts())

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
        """List our kinds: what a watch missed is made up for.

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

    # -- facts of the pods ----------------------------------------------------------------------------

    async def _follow_facts(self) -> None:
        while True:
            await asyncio.sleep(self._settings.live_status_interval)
            try:
                await self.scrape_pods(datetime.now(UTC))
            except ApiError as error:
                _LOG.warning("pods cannot be listed: %s", error)

    async def scrape_pods(self, now: datetime) -> None:
        """Ask all dispatchers for their metrics; one request to the API server, two where sidecars are.

        Raises:
            ApiError: pods could not be listed.
        """
        owners: dict[str, Key] = {}
        sidecars = False
        for meta in self.cache.metas("Pod"):
            name = meta.labels.get(Names.PUSH_DOMAIN_LABEL) or meta.labels.get(Names.INJECT_LABEL)
            if name:
                owners[meta.uid] = Key("PushDomain", meta.key.namespace, name)
                sidecars = sidecars or Names.PUSH_DOMAIN_LABEL not in meta.labels
        found: dict[str, PodDetails] = {}
        if owners:
            selectors = [Names.CHILD_SELECTOR, *([Names.INJECT_LABEL] if sidecars else [])]
            for selector in selectors:
                for namespace in self._namespaces():
                    for document in await self._cluster.list(POD, namespace, selector):
                        found[document["metadata"]["uid"]] = self._gatherer.seen(document)
        asked = [
            (uid, details.url)
            for uid, details in found.items()
            if uid in owners and details.ready and details.url
        ]
        reports = await asyncio.gather(*(self._asker.ask(url) for _, url in asked))
        by_owner: dict[Key, dict[str, PodReport]] = {}
        changed: set[Key] = set()
        for (uid, _), report in zip(asked, reports, strict=True):
            before = self._gatherer.reported(uid)
            if before is None or _state(before) != _state(report):
                changed.add(owners[uid])
            self._gatherer.report(uid, report)
            if report.digest is not None:
                by_owner.setdefault(owners[uid], {})[uid] = report
        for key in {*by_owner, *self._rates}:
            if self.cache.get(key) is None:
                self._rates.pop(key, None)
                continue
            live = self._rates.setdefault(key, Rates()).take(by_owner.get(key, {}), now)
            if key not in by_owner:
                del self._rates[key]  # no pod is left; it is told once
            old = self._gatherer.live(key)
            if old is None or _facts(old) != _facts(live):
                self._gatherer.set_live(key, live)
                changed.add(key)
        self.controller.changed(sorted(changed))


def _state(report: PodReport) -> tuple[object, ...]:
    return report.digest, report.refused, report.refused_digest, report.held


def _facts(live: LiveStatus) -> tuple[object, ...]:
    return (
        live.sessions,
        live.delivered_per_minute,
        live.delivered,
        live.failed,
        live.held,
        live.last_error,
    )
