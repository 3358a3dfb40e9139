"""Scrapes the metrics of all dispatchers, once a minute, for the live status of their PushDomains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from tubepost_operator.api import ApiError, ClusterApi
from tubepost_operator.cache import Cache
from tubepost_operator.kinds import POD
from tubepost_operator.live_status import Rates, told_of
from tubepost_operator.metadata import push_domain_of
from tubepost_operator.names import Names
from tubepost_operator.observed import Key, LiveStatus, PodDetails, PodReport
from tubepost_operator.pods import PodAsker, read_pod
from tubepost_operator.settings import Settings

_LOG = logging.getLogger("tubepost.scrape")


class Scraper:
    """Keeps live statuses in the cache, and enqueues the PushDomains whose pods have news.

    Args:
        settings: the operator's.
        cluster: lists pods.
        cache: knows the pods; takes what they say.
        asker: asks pods.
        changed: enqueues objects.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        cache: Cache,
        asker: PodAsker,
        changed: Callable[[Iterable[Key]], None],
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._cache = cache
        self._asker = asker
        self._changed = changed
        self._rates: dict[Key, Rates] = {}

    async def run(self) -> None:
        """Scrape until cancelled.

        Raises:
            NotLeader: the Lease is lost.
        """
        while True:
            await asyncio.sleep(self._settings.live_status_interval)
            await self.scrape(datetime.now(UTC))

    async def scrape(self, now: datetime) -> None:
        """Ask all dispatchers for their metrics; one request to the API server, two where sidecars are.

        Where pods cannot be listed nothing is known of them; those of other namespaces are asked.
        """
        owners: dict[str, Key] = {}
        queued: set[str] = set()
        sidecars = False
        for meta in self._cache.metas("Pod"):
            name = push_domain_of(meta)
            if name:
                owners[meta.uid] = Key("PushDomain", meta.key.namespace, name)
                sidecars = sidecars or Names.PUSH_DOMAIN_LABEL not in meta.labels
                if Names.QUEUE_ANNOTATION in meta.annotations:
                    queued.add(meta.uid)  # one that retires is not ready, and has its queue
        found = await self._list(sidecars=sidecars) if owners else {}
        asked = [
            (uid, details.url)
            for uid, details in found.items()
            if uid in owners and (details.ready or uid in queued) and details.url
        ]
        reports = await asyncio.gather(*(self._asker.ask(url) for _, url in asked))
        by_owner: dict[Key, dict[str, PodReport]] = {}
        changed: set[Key] = set()
        for (uid, _), report in zip(asked, reports, strict=True):
            before = self._cache.report(uid)
            if before is None or _state(before) != _state(report):
                changed.add(owners[uid])
            self._cache.set_report(uid, report)
            if report.digest is not None:
                by_owner.setdefault(owners[uid], {})[uid] = report
        changed |= self._update(by_owner, now)
        self._cache.drop_unknown_pods()
        self._changed(sorted(changed))

    async def _list(self, *, sidecars: bool) -> dict[str, PodDetails]:
        """Addresses and states of all dispatchers' pods, by uid."""
        found: dict[str, PodDetails] = {}
        for selector in (Names.CHILD_SELECTOR, *([Names.INJECT_LABEL] if sidecars else [])):
            for namespace in self._settings.namespaces or (None,):
                try:
                    documents = await self._cluster.list(POD, namespace, selector)
                except ApiError as error:
                    where = f" in {namespace}" if namespace else ""
                    _LOG.warning("pods%s cannot be listed: %s", where, error)
                    continue
                for document in documents:
                    metadata, details = document["metadata"], read_pod(document)
                    self._cache.set_details(metadata["uid"], metadata.get("resourceVersion", ""), details)
                    found[metadata["uid"]] = details
        return found

    def _update(self, by_owner: dict[Key, dict[str, PodReport]], now: datetime) -> set[Key]:
        """Make the live statuses of now; those that changed are returned."""
        changed: set[Key] = set()
        for key in {*by_owner, *self._rates}:
            if self._cache.get(key) is None:
                self._rates.pop(key, None)
                continue
            live = self._rates.setdefault(key, Rates()).take(by_owner.get(key, {}), now)
            if key not in by_owner:
                del self._rates[key]  # no pod is left; it is told once
            old = self._cache.live(key)
            if old is None or _values(old) != _values(live):
                self._cache.set_live(key, live)
                changed.add(key)
                changed |= self._routes(key, old, live)
        return changed

    def _routes(self, user: Key, old: LiveStatus | None, new: LiveStatus) -> set[Key]:
        """The ApnRoutes of which something else is to be said now."""
        before = old if old is not None else LiveStatus(new.at)
        names = {
            name
            for name in {*before.held, *before.failing, *new.held, *new.failing}
            if told_of(before, name) != told_of(new, name)
        }
        keys = {Key("ApnRoute", user.namespace, name) for name in names}
        return {key for key in keys if self._cache.get(key) is not None}


def _state(report: PodReport) -> tuple[object, ...]:
    return report.digest, report.refused, report.refused_digest, report.held


def _values(live: LiveStatus) -> tuple[object, ...]:
    """Everything but the time."""
    return (
        live.sessions,
        live.delivered_per_minute,
        live.delivered,
        live.failed,
        live.held,
        live.last_error,
        live.failing,
        [live.reasons.get(route) for route in (*live.held, *live.failing)],
        live.queued,
        live.stream,
    )
