"""Observes: what the cache knows of an object and its surroundings, completed by reading. Decides nothing.

What there is to read is said by a function (`plan.needs`), which is asked again after each round until it
names nothing more. What was read goes into the cache and into the snapshot.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from tubepost_api.policy import POLICY_KEY
from tubepost_operator.api import ApiError, ClusterApi
from tubepost_operator.cache import Cache
from tubepost_operator.kinds import CHILDREN, CONFIG_MAP, EVENT, POD, RELATED, SECRET
from tubepost_operator.observed import (
    Child,
    ConfigMap,
    Document,
    Found,
    Hooks,
    Key,
    LastEvent,
    Need,
    PodList,
    PodMetrics,
    Secret,
    Trial,
)
from tubepost_operator.pods import PodAsker, read_pod
from tubepost_operator.settings import Settings
from tubepost_operator.snapshot import PushDomainSnapshot, ReferencedSnapshot, Snapshot, drains

S = TypeVar("S", bound=Snapshot)

_KINDS: Final = {**RELATED, SECRET.name: SECRET}


def observe_referenced(cache: Cache, key: Key, document: Document, now: datetime) -> ReferencedSnapshot:
    """An ApnRoute or ApnLogger."""
    secrets, unread = _secrets(cache, key)
    users = cache.users_of(key)
    lives = {user.name: cache.live(user) for user in users}
    return ReferencedSnapshot(
        now=now,
        document=document,
        secrets=secrets,
        unread_secrets=unread,
        refused=cache.access.refusals(key.namespace),
        users=tuple(user.name for user in users),
        lives={name: live for name, live in lives.items() if live is not None},
    )


def observe_push_domain(
    cache: Cache, key: Key, document: Document, settings: Settings, now: datetime
) -> PushDomainSnapshot:
    """A PushDomain."""
    secrets, unread = _secrets(cache, key)
    config_maps, unread_config_maps = cache.config_maps.known(
        key.namespace,
        cache.config_maps_of(key),
        complete=cache.access.complete(CONFIG_MAP.name, key.namespace),
    )
    pods = cache.pods(key.namespace, key.name)
    return PushDomainSnapshot(
        now=now,
        settings=settings,
        document=document,
        secrets=secrets,
        unread_secrets=unread,
        refused=cache.access.refusals(key.namespace),
        routes=cache.documents("ApnRoute", key.namespace),
        loggers=cache.documents("ApnLogger", key.namespace),
        config_maps=config_maps,
        unread_config_maps=unread_config_maps,
        children={child.meta.key: child for child in cache.children_of(key.namespace, key.name)},
        pods=tuple(pod for pod in pods if not drains(pod)),
        drains=tuple(pod for pod in pods if drains(pod)),
        live=cache.live(key),
        last_published=cache.published(key),
    )


class Gatherer:
    """Completes snapshots.

    Args:
        cluster: reads objects.
        cache: takes what was read.
        asker: asks pods for their metrics.
    """

    def __init__(self, cluster: ClusterApi, cache: Cache, asker: PodAsker) -> None:
        self._cluster = cluster
        self._cache = cache
        self._asker = asker

    async def gather(self, seen: S, needs: Callable[[S], tuple[Need, ...]]) -> S:
        """Read what is needed until nothing more is.

        Raises:
            ApiError: something could not be read.
        """
        while wanted := needs(seen):
            if not seen.read.isdisjoint(wanted):
                raise AssertionError(f"needed again although it was read: {wanted}")
            seen = seen.with_read(await self._read(wanted))
        return seen

    async def _read(self, wanted: tuple[Need, ...]) -> dict[Need, Found]:
        """Read objects one after the other, as few as they are, and pods' metrics all at once."""
        found: dict[Need, Found] = {}
        for need in wanted:
            if isinstance(need, PodList):
                await self._list(need)
            elif isinstance(need, Key):
                found[need] = await self._get(need)
            elif isinstance(need, Hooks):
                found[need] = await self._text(need)
            elif isinstance(need, Trial):
                found[need] = await self._try(need)
            elif isinstance(need, LastEvent):
                found[need] = await self._told(need.about)
        await asyncio.gather(*(self._ask(need) for need in wanted if isinstance(need, PodMetrics)))
        for need in wanted:
            if isinstance(need, PodList | PodMetrics):
                found[need] = self._cache.pods(need.push_domain.namespace, need.push_domain.name)
        return found

    async def _get(self, key: Key) -> Secret | Child | None:
        before = self._cache.meta(key)
        document = await self._cluster.get(_KINDS[key.kind], key.namespace, key.name)
        if document is None:
            if before is not None:
                self._cache.remove_meta(key, before.uid)
            return None
        if key.kind != SECRET.name:
            return self._cache.take(key, document)
        return self._cache.set_secret(key.namespace, read_secret(document))

    async def _text(self, need: Hooks) -> ConfigMap | None:
        document = await self._cluster.get(CONFIG_MAP, need.namespace, need.name)
        if document is None:
            return None
        texts = read_config_map(document)
        self._cache.config_maps.keep(need.namespace, texts)
        return texts

    async def _try(self, need: Trial) -> Child | None:
        kind = CHILDREN[need.child.kind]
        try:
            answer = await self._cluster.apply(kind, need.manifest, dry_run=True)
            left = None
            if need.remove:
                left = await self._cluster.remove_fields(kind, need.live, need.remove, dry_run=True)
        except ApiError as error:
            if not error.rejection:
                raise
            return None  # a webhook that takes no dry runs, or a refusal, which the write will meet
        return self._cache.tried(need.child, need.applied, answer, left)

    async def _told(self, about: Key) -> str:
        fields = f"involvedObject.kind={about.kind},involvedObject.name={about.name}"
        try:
            found = await self._cluster.list(EVENT, about.namespace, fields=fields)
        except ApiError as error:
            if not error.rejection:
                raise
            return ""  # a role of an older release
        last = max(found, key=lambda event: str(event.get("lastTimestamp") or ""), default=None)
        return f"{last.get('reason', '')}: {last.get('message', '')}".strip(": ") if last else ""

    async def _list(self, need: PodList) -> None:
        """Addresses and states of pods."""
        for document in await self._cluster.list(POD, need.push_domain.namespace, need.selector):
            metadata = document["metadata"]
            self._cache.set_details(metadata["uid"], metadata.get("resourceVersion", ""), read_pod(document))

    async def _ask(self, need: PodMetrics) -> None:
        self._cache.set_report(need.uid, await self._asker.ask(need.url))


def read_secret(document: Document) -> Secret:
    """A Secret's contents. What is not base64 (no server gives that) counts as empty."""
    data: dict[str, bytes] = {}
    for name, value in (document.get("data") or {}).items():
        try:
            data[name] = base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError):
            data[name] = b""
    metadata = document["metadata"]
    return Secret(
        metadata["name"],
        metadata.get("resourceVersion", ""),
        data,
        document.get("immutable") is True,
        metadata.get("creationTimestamp") or "",
    )


def read_config_map(document: Document) -> ConfigMap:
    """The texts of a ConfigMap; of those that are of no concern only the keys."""
    metadata = document["metadata"]
    data = document.get("data") or {}
    texts = {key: value if key == POLICY_KEY else "" for key, value in data.items()}
    return ConfigMap(metadata["name"], metadata.get("resourceVersion", ""), texts)


def _secrets(cache: Cache, key: Key) -> tuple[dict[str, Secret], tuple[str, ...]]:
    """The Secrets that an object names, and the names of those that are to be read."""
    complete = cache.access.complete(SECRET.name, key.namespace)
    return cache.secrets.known(key.namespace, cache.secrets_of(key), complete=complete)
