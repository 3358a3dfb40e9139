"""Observe everything that a decision needs into one snapshot, with as few requests as possible.

What the watches told is in the cache. Read besides are: Secrets that are named, when their version is new;
Deployments, when they have changed, since their state is not metadata; other children once after a start and
after somebody else changed them; pods, while they have not yet said that they run the newest configuration.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tubepost_operator.api import ClusterApi
from tubepost_operator.cache import Cache, read_meta
from tubepost_operator.kinds import CHILDREN, POD, SECRET
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Document, Key, LiveStatus, Meta, Pod, PodReport, Secret
from tubepost_operator.plan.children import deployment_body
from tubepost_operator.plan.push_domain import Decision, decide, missing
from tubepost_operator.plan.snapshot import PushDomainSnapshot, ReferencedSnapshot
from tubepost_operator.pods import PodAsker, PodDetails, read_pod
from tubepost_operator.settings import Settings

_LOG = logging.getLogger("tubepost.gather")

_KEPT_IN_FULL: Final = frozenset({"ConfigMap", "Deployment"})
"""Kinds whose contents decide, not only whether they are as they should be."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A snapshot that lacks only what must be asked in the moment of the decision."""

    base: PushDomainSnapshot
    decision: Decision

    def snapshot(self, *, may_upgrade: bool, rejected: Mapping[Key, str] | None = None) -> PushDomainSnapshot:
        """The whole snapshot."""
        return replace(self.base, may_upgrade=may_upgrade, rejected=rejected or {})


class Gatherer:
    """Makes snapshots, and remembers between them what need not be read again.

    Args:
        settings: the operator's.
        cluster: reads objects.
        store: what the watches told.
        asker: asks pods.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        cache: Cache,
        asker: PodAsker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._cache = cache
        self._asker = asker
        self._clock = clock
        self._bodies: dict[Key, tuple[str, Document]] = {}
        self._trusted: dict[Key, str] = {}
        self._secrets: dict[tuple[str, str], Secret] = {}
        self._details: dict[str, PodDetails] = {}
        self._seen_at: dict[str, str] = {}
        self._reports: dict[str, PodReport] = {}
        self._live: dict[Key, LiveStatus] = {}
        self._last_good: dict[tuple[Key, str], tuple[str, str]] = {}
        self._unconfirmed: dict[Key, tuple[str, float]] = {}

    # -- snapshots ------------------------------------------------------------------------------------

    async def part(self, key: Key, document: Document, now: datetime) -> ReferencedSnapshot:
        """The snapshot of an ApnRoute or ApnLogger.

        Raises:
            ApiError: something could not be read.
        """
        return ReferencedSnapshot(
            now,
            document,
            await self._read_secrets(key),
            tuple(user.name for user in self._cache.users_of(key)),
        )

    async def push_domain(self, key: Key, document: Document, now: datetime) -> Gathered:
        """The snapshot of a PushDomain.

        Raises:
            ApiError: something could not be read.
        """
        snapshot = PushDomainSnapshot(
            now=now,
            settings=self._settings,
            document=document,
            routes=self._cache.documents("ApnRoute", key.namespace),
            loggers=self._cache.documents("ApnLogger", key.namespace),
            secrets=await self._read_secrets(key),
            children=await self._read_children(key),
            live=self._live.get(key),
            last_good=self._last_good.get((key, document["metadata"]["uid"])),
        )
        decision = decide(snapshot)
        if decision.served.old is not None:
            old = decision.served.old
            self._last_good[key, document["metadata"]["uid"]] = (old.name, old.text)
        found: dict[Key, Child] = {}
        absent: set[Key] = set()
        for name in missing(snapshot, decision):
            child = await self._look_up(name)
            if child is None:
                absent.add(name)
            else:
                found[name] = child
        pods = await self._read_pods(key, decision.digest, troubled=_troubled(snapshot))
        snapshot = replace(
            snapshot,
            children={**snapshot.children, **found},
            absent=frozenset(absent),
            pods=pods,
            unconfirmed_for=self._waited(key, decision.digest, pods),
        )
        return Gathered(snapshot, decision)

    async def _read_secrets(self, key: Key) -> dict[str, Secret]:
        result: dict[str, Secret] = {}
        for name in sorted(self._cache.secrets_of(key)):
            version = self._cache.secret_version(key.namespace, name)
            if version is None:
                self._secrets.pop((key.namespace, name), None)
                continue
            known = self._secrets.get((key.namespace, name))
            if known is None or known.version != version:
                document = await self._cluster.get(SECRET, key.namespace, name)
                if document is None:
                    continue
                known = read_secret(document)
                self._secrets[key.namespace, name] = known
            result[name] = known
        return result

    async def _read_children(self, key: Key) -> dict[Key, Child]:
        children: dict[Key, Child] = {}
        for meta in self._cache.children_of(key.namespace, key.name):
            child = await self._child(meta)
            if child is not None:
                children[meta.key] = child
        return children

    async def _child(self, meta: Meta) -> Child | None:
        """A child as it is; its contents are read where they matter or somebody may have changed them."""
        known = self._bodies.get(meta.key)
        if known is not None and known[0] == meta.version:
            return Child(meta, known[1])
        if meta.key.kind not in _KEPT_IN_FULL and self._trusted.get(meta.key) == meta.fingerprint:
            return Child(meta)
        child = await self._look_up(meta.key)
        if child is None:
            self._cache.remove_meta(meta.key, meta.uid)
        return child

    async def _look_up(self, key: Key) -> Child | None:
        document = await self._cluster.get(CHILDREN[key.kind], key.namespace, key.name)
        if document is None:
            self._bodies.pop(key, None)
            return None
        meta = read_meta(document, key.kind)
        if meta.labels.get(Names.MANAGED_LABEL) == Names.FIELD_MANAGER:
            self._cache.put_meta(meta)
            self._keep(meta, document)
        return Child(meta, document)

    def _keep(self, meta: Meta, document: Document) -> None:
        if meta.key.kind in _KEPT_IN_FULL:
            self._bodies[meta.key] = (meta.version, document)

    # -- pods -----------------------------------------------------------------------------------------

    async def _read_pods(self, key: Key, digest: str, *, troubled: bool) -> tuple[Pod, ...]:
        metas = self._cache.pods_of(key.namespace, key.name)
        ask = [meta for meta in metas if self._worth_asking(meta, digest)]
        # Why a pod does not run is not in its metadata.
        look = metas if troubled else ask
        if any(self._seen_at.get(meta.uid) != meta.version for meta in look):
            await self._read_details(key)
        await self._ask(meta.uid for meta in ask)
        return tuple(self._pod(meta) for meta in metas)

    def _worth_asking(self, meta: Meta, digest: str) -> bool:
        report = self._reports.get(meta.uid)
        return not meta.deleting and (report is None or report.digest != digest)

    async def _read_details(self, key: Key) -> None:
        """Addresses and states of the pods: one request, or two where there are sidecars."""
        selectors = [f"{Names.CHILD_SELECTOR},{Names.PUSH_DOMAIN_LABEL}={key.name}"]
        if any(_is_sidecar(meta) for meta in self._cache.pods_of(key.namespace, key.name)):
            selectors.append(f"{Names.INJECT_LABEL}={key.name}")
        for selector in selectors:
            for document in await self._cluster.list(POD, key.namespace, selector):
                self.seen(document)

    async def _ask(self, uids: Iterable[str]) -> None:
        targets = [
            (uid, details.url)
            for uid in uids
            if (details := self._details.get(uid)) is not None and details.ready and details.url
        ]
        reports = await asyncio.gather(*(self._asker.ask(url) for _, url in targets))
        for (uid, _), report in zip(targets, reports, strict=True):
            self._reports[uid] = report

    def _pod(self, meta: Meta) -> Pod:
        details = self._details.get(meta.uid)
        ready = details is not None and details.ready
        return Pod(
            meta,
            sidecar=_is_sidecar(meta),
            ready=ready,
            trouble=details.trouble if details is not None else "",
            report=self._reports.get(meta.uid) if ready else None,
        )

    def _waited(self, key: Key, digest: str, pods: tuple[Pod, ...]) -> float:
        """Seconds since pods were first seen to run something else than they should; 0 when none does."""
        others = any(
            pod.report is not None and pod.report.digest not in {None, digest}
            for pod in pods
            if not pod.meta.deleting and not pod.sidecar
        )
        if not others:
            self._unconfirmed.pop(key, None)
            return 0.0
        since = self._unconfirmed.get(key)
        if since is None or since[0] != digest:
            since = (digest, self._clock())
            self._unconfirmed[key] = since
        return max(0.001, self._clock() - since[1])

    # -- what others tell -----------------------------------------------------------------------------

    def trust(self, metas: Iterable[Meta]) -> None:
        """These children were compared and are as they should be."""
        for meta in metas:
            self._trusted[meta.key] = meta.fingerprint

    def trusts(self, meta: Meta) -> bool:
        """Whether a change of this child was our own or does not matter."""
        return self._trusted.get(meta.key) == meta.fingerprint

    def written(self, key: Key, document: Document) -> None:
        """The answer to a write of ours: a child as it is now."""
        meta = read_meta(document, key.kind)
        self._cache.put_meta(meta)
        self._keep(meta, document)
        self._trusted[key] = meta.fingerprint

    def seen(self, document: Document) -> PodDetails:
        """A pod was read."""
        details = read_pod(document)
        metadata = document["metadata"]
        self._details[metadata["uid"]] = details
        self._seen_at[metadata["uid"]] = metadata.get("resourceVersion", "")
        return details

    def report(self, uid: str, report: PodReport) -> None:
        """A pod was asked by somebody else."""
        self._reports[uid] = report

    def reported(self, uid: str) -> PodReport | None:
        """What a pod said last."""
        return self._reports.get(uid)

    def set_live(self, key: Key, live: LiveStatus) -> None:
        """New live facts of a PushDomain."""
        self._live[key] = live

    def live(self, key: Key) -> LiveStatus | None:
        """The live facts that were set last."""
        return self._live.get(key)

    def gone(self, meta: Meta) -> None:
        """A child or pod is gone."""
        self._bodies.pop(meta.key, None)
        self._trusted.pop(meta.key, None)
        self._details.pop(meta.uid, None)
        self._seen_at.pop(meta.uid, None)
        self._reports.pop(meta.uid, None)

    def secret_gone(self, namespace: str, name: str) -> None:
        """A Secret is gone: its contents are forgotten."""
        self._secrets.pop((namespace, name), None)

    def forget(self, key: Key) -> None:
        """A PushDomain is gone."""
        self._live.pop(key, None)
        self._unconfirmed.pop(key, None)
        for known in [known for known in self._last_good if known[0] == key]:
            del self._last_good[known]


def read_secret(document: Document) -> Secret:
    """A Secret's contents. What is not base64 (no server gives that) counts as empty."""
    data: dict[str, bytes] = {}
    for name, value in (document.get("data") or {}).items():
        try:
            data[name] = base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError):
            data[name] = b""
    metadata = document["metadata"]
    return Secret(metadata["name"], metadata.get("resourceVersion", ""), data)


def _troubled(snapshot: PushDomainSnapshot) -> bool:
    """Whether fewer replicas are available than there ought to be."""
    body = deployment_body(snapshot)
    if body is None:
        return False
    available: int = (body.get("status") or {}).get("availableReplicas", 0)
    return available < int(body["spec"].get("replicas", 1))


def _is_sidecar(meta: Meta) -> bool:
    return meta.labels.get(Names.NAME_LABEL) != Names.APP
