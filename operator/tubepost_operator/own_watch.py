"""Keeps our own kinds of one namespace (or of all) watched, whatever becomes of it.

They are listed first, so that it is known which of them can be watched: a watch of one that cannot would
take the others with it. Then they are watched until that ends, falls silent, or a kind that was refused is
back; and again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from tubepost_operator.access import Access
from tubepost_operator.api import ApiError, ClusterApi, WatchSource
from tubepost_operator.enqueue import Enqueuer
from tubepost_operator.kinds import OWN, Kind
from tubepost_operator.liveness import Liveness
from tubepost_operator.metadata_watch import REFUSED, REFUSED_AFTER
from tubepost_operator.observed import Document
from tubepost_runtime.backoff import Backoff, Exponential

_LOG = logging.getLogger("tubepost.watch")

LOOK: Final = 5.0
"""Seconds between looks at a watch, and between attempts to list kinds that are refused."""
BEGUN: Final = 10.0
"""Seconds in which a watch of every kind has to begin: a definition may be found later than its objects."""
SILENT: Final = 65.0
"""Seconds without anything on a watch after which it is begun anew: the server ends each request before."""

_RETRIES: Final = Exponential(0.5, LOOK)

Tell = Callable[[bool, Document], None]
"""Called with whether an object was deleted, and the object."""
Noted = Callable[[str], None]
"""Called with the plural of a kind, from any thread."""
WatchOwn = Callable[[str | None, Sequence[Kind], Tell, Noted, Noted, Noted], Coroutine[Any, Any, None]]
"""Watches kinds in a namespace until it cannot go on, or is cancelled. Calls back with the objects; and,
with the plural of a kind, when its watch has begun, whenever anything arrives on it, and when it is
refused."""


class OwnWatch:
    """The watches of our kinds in one namespace.

    Args:
        cluster: lists them.
        watch: watches them.
        namespace: where; None: everywhere.
        enqueuer: is told what there is.
        access: is told what is refused.
        liveness: is told of signs of life, by name of the watch.
        refused: called when something is refused, or is not any more.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cluster: ClusterApi,
        watch: WatchOwn,
        namespace: str | None,
        enqueuer: Enqueuer,
        access: Access,
        liveness: Liveness,
        refused: Callable[[WatchSource], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._namespace = namespace
        self._enqueuer = enqueuer
        self._access = access
        self._liveness = liveness
        self._refused = refused
        self._clock = clock
        where = f" in {namespace}" if namespace else ""
        self._sources = {
            kind.plural: WatchSource(f"{kind.plural}{where}", kind, namespace) for kind in OWN.values()
        }
        self._failures = dict.fromkeys(self._sources, 0)
        self._heard: dict[str, float] = {}
        self._lost: set[str] = set()
        self.listed = asyncio.Event()
        """Every kind was listed, or is refused."""
        for source in self._sources.values():
            access.expect(source)

    async def run(self) -> None:
        """Watch until cancelled."""
        backoff = Backoff(_RETRIES)
        while True:
            there = await self.list()
            if all(self._access.settled(source) for source in self._sources.values()):
                self.listed.set()
            if not there or not self.listed.is_set():
                await asyncio.sleep(backoff.failure())
                continue
            began = self._clock()
            await self._follow(there)
            if self._clock() - began > SILENT:
                backoff.success()
            await asyncio.sleep(backoff.failure())

    async def list(self) -> list[Kind]:
        """List all kinds, and tell what a watch has missed; those that could be listed are returned."""
        return [source.kind for source in self._sources.values() if await self._list(source)]

    async def _list(self, source: WatchSource) -> bool:
        known = self._enqueuer.known(source.kind.name)
        namespaces = (source.namespace,) if source.namespace else ()
        try:
            documents = await self._cluster.list(source.kind, source.namespace)
        except ApiError as error:
            self._failed(source, error)
            if error.status == 404:
                # Without its definition there are no objects of a kind.
                self._enqueuer.listed(source.kind.name, [], namespaces, known)
            return False
        self._failures[source.kind.plural] = 0
        self._liveness.note(source.name)
        self._enqueuer.listed(source.kind.name, documents, namespaces, known)
        self._access.completed(source)
        if self._access.restored(source):
            self._refused(source)
        return True

    def _failed(self, source: WatchSource, error: ApiError) -> None:
        if not error.restart_may_help:
            self._liveness.tried(source.name)
        self._failures[source.kind.plural] += 1
        lasting = (
            error.kind not in {"connection", "throttled"}
            and self._failures[source.kind.plural] >= REFUSED_AFTER
        )
        if error.status not in REFUSED and not lasting:
            _LOG.warning("%s cannot be listed yet: %s", source.name, error)
        elif self._access.refused(source, error.status, error.message):
            self._refused(source)

    async def _follow(self, kinds: Sequence[Kind]) -> None:
        """Until the watch ends, falls silent, or there is more to watch."""
        began = self._clock()
        self._heard = {}
        self._lost.clear()
        missing = [source for source in self._sources.values() if source.kind not in kinds]
        task = asyncio.create_task(
            self._watch(self._namespace, kinds, self._enqueuer.own, self._begin, self._hear, self._lose)
        )
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=LOOK)
                if done:
                    error = task.exception()
                    _LOG.info("%s: the watch has ended%s", self._name(), f": {error}" if error else "")
                    return
                silent = [kind.plural for kind in kinds if self._silent(kind, began)]
                if silent:
                    _LOG.warning("%s: nothing comes from the watch of %s", self._name(), ", ".join(silent))
                    return
                if self._lost or any([await self._list(source) for source in missing]):
                    return
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _begin(self, plural: str) -> None:
        self._heard.setdefault(plural, self._clock())

    def _lose(self, plural: str) -> None:
        if plural in self._sources:
            self._lost.add(plural)

    def _hear(self, plural: str) -> None:
        self._heard[plural] = self._clock()
        source = self._sources.get(plural)
        if source is not None:
            self._liveness.note(source.name)

    def _silent(self, kind: Kind, began: float) -> bool:
        heard = self._heard.get(kind.plural)
        now = self._clock()
        return now - began > BEGUN if heard is None else now - heard > SILENT

    def _name(self) -> str:
        return f"our kinds in {self._namespace}" if self._namespace else "our kinds"
