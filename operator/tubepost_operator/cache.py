"""Everything that is known between two reconciles: our own objects in full, of all others their metadata.

Filled by the watches, by what was read, and by the answers to our writes. Whatever belongs to an object goes
with it: `remove`, `remove_meta` and `Contents.remove` are the only places that are told of removals. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tubepost_operator.access import Access
from tubepost_operator.contents import Contents
from tubepost_operator.kinds import READ_IN_FULL, RELATED
from tubepost_operator.metadata import (
    is_newer,
    is_older,
    object_key,
    push_domain_of,
    read_meta,
    told_by_user,
)
from tubepost_operator.names import Names
from tubepost_operator.observed import (
    Child,
    ConfigMap,
    Document,
    Key,
    LiveStatus,
    Meta,
    Pod,
    PodDetails,
    PodReport,
    Secret,
)
from tubepost_operator.references import References, references


@dataclass(slots=True)
class _Own:
    """An object of ours, and what is remembered of a PushDomain."""

    document: Document
    references: References
    live: LiveStatus | None = None
    published: tuple[str, str] | None = None
    unconfirmed: tuple[str, float] | None = None


@dataclass(slots=True)
class _Other:
    """A child or pod. `body` is of the version of `meta`, `in_sync` the fingerprint when it was compared."""

    meta: Meta
    body: Document | None = None
    in_sync: str = ""
    trial: tuple[str, Document] | None = None
    cleaned: tuple[str, Document] | None = None

    def child(self) -> Child:
        """The child as plans are made from it."""
        in_sync = self.in_sync == self.meta.fingerprint
        return Child(self.meta, self.body, in_sync, self.trial, self.cleaned)


@dataclass(slots=True)
class _PodEntry:
    details: PodDetails | None = None
    version: str = ""
    report: PodReport | None = None
    quiet_since: float = 0.0


class Cache:
    """Objects, who refers to whom, and what need not be read again."""

    def __init__(self) -> None:
        self.access = Access()
        """What cannot be watched, so that nothing is known of it."""
        self._own: dict[Key, _Own] = {}
        self._by_namespace: dict[tuple[str, str], dict[str, Key]] = {}
        self._others: dict[Key, _Other] = {}
        self._by_push_domain: dict[tuple[str, str], dict[Key, None]] = {}
        self.secrets: Contents[Secret] = Contents()
        self.config_maps: Contents[ConfigMap] = Contents()
        """Of users, who have hooks in them."""
        self._immutable: set[tuple[str, str]] = set()
        # By uid: a list may bring a pod before the watch does.
        self._pods: dict[str, _PodEntry] = {}

    # -- our own objects ------------------------------------------------------------------------------

    def put(self, document: Document) -> bool:
        """Take an object of ours; whether something is new that matters to its plan."""
        key = object_key(document)
        known = self._own.get(key)
        if known is not None and is_older(document, known.document):
            return False
        now = document["metadata"]
        before = known.document if known is not None else {}
        then = before.get("metadata", {})
        if known is not None and now.get("uid") == then.get("uid"):
            known.document, known.references = document, references(document)
        else:
            self._own[key] = _Own(document, references(document))
        self._by_namespace.setdefault((key.kind, key.namespace), {})[key.name] = key
        return (
            known is None
            or any(now.get(field) != then.get(field) for field in ("uid", "generation", "deletionTimestamp"))
            or told_by_user(now) != told_by_user(then)
            or document.get("status") != before.get("status")  # somebody else's: ours is known already
        )

    def remove(self, key: Key, uid: str) -> None:
        """An object of ours is gone; another one of its name is kept."""
        known = self._own.get(key)
        if known is None or known.document["metadata"].get("uid") != uid:
            return
        del self._own[key]
        self._by_namespace[key.kind, key.namespace].pop(key.name, None)

    def get(self, key: Key) -> Document | None:
        """An object of ours."""
        known = self._own.get(key)
        return known.document if known is not None else None

    def keys(self, kind: str | None = None) -> list[Key]:
        """All objects of ours, or those of one kind."""
        return [key for key in self._own if kind is None or key.kind == kind]

    def documents(self, kind: str, namespace: str) -> dict[str, Document]:
        """The objects of a kind in a namespace, by name."""
        names = self._by_namespace.get((kind, namespace), {})
        return {name: self._own[key].document for name, key in names.items()}

    def set_status(self, key: Key, document: Document) -> None:
        """Take the answer to a write of a status, which a watch will tell as well, later."""
        known = self._own.get(key)
        if known is not None and not is_older(document, known.document):
            known.document = document

    # -- what is remembered of a PushDomain -----------------------------------------------------------

    def live(self, key: Key) -> LiveStatus | None:
        """The live status that was set last."""
        known = self._own.get(key)
        return known.live if known is not None else None

    def set_live(self, key: Key, live: LiveStatus) -> None:
        """Take a new live status."""
        if key in self._own:
            self._own[key].live = live

    def published(self, key: Key) -> tuple[str, str] | None:
        """Name of the ConfigMap and text of the configuration that was published at the last reconcile."""
        known = self._own.get(key)
        return known.published if known is not None else None

    def set_published(self, key: Key, uid: str, name: str, text: str) -> None:
        """Remember what is published for the PushDomain with this uid."""
        known = self._own.get(key)
        if known is not None and known.document["metadata"].get("uid") == uid:
            known.published = (name, text)

    def unconfirmed_for(self, key: Key, digest: str | None, now: float) -> float:
        """Seconds since a configuration was first waited for, which some pods do not run yet; else 0."""
        known = self._own.get(key)
        if known is None:
            return 0.0
        if digest is None:
            known.unconfirmed = None
            return 0.0
        if known.unconfirmed is None or known.unconfirmed[0] != digest:
            known.unconfirmed = (digest, now)
        return max(0.001, now - known.unconfirmed[1])

    # -- who refers to whom ---------------------------------------------------------------------------

    def users_of(self, key: Key) -> list[Key]:
        """The PushDomains that refer to an ApnRoute or ApnLogger."""
        found = []
        for user in self._by_namespace.get(("PushDomain", key.namespace), {}).values():
            named = self._own[user].references
            if key.name in (named.routes if key.kind == "ApnRoute" else named.loggers):
                found.append(user)
        return found

    def users_of_secret(self, namespace: str, name: str) -> list[Key]:
        """The routes and loggers that refer to a Secret, their PushDomains, and PushDomains that do."""
        found: dict[Key, None] = {}
        for kind in ("ApnRoute", "ApnLogger"):
            for key in self._by_namespace.get((kind, namespace), {}).values():
                if name in self._own[key].references.secrets:
                    found[key] = None
                    found |= dict.fromkeys(self.users_of(key))
        for user in self._by_namespace.get(("PushDomain", namespace), {}).values():
            if name in self._own[user].references.secrets:
                found[user] = None
        return list(found)

    def secrets_of(self, key: Key) -> set[str]:
        """Names of all Secrets that an object needs, those of its routes and loggers included."""
        own = self._own.get(key)
        if own is None:
            return set()
        names = set(own.references.secrets)
        for kind, named in (("ApnRoute", own.references.routes), ("ApnLogger", own.references.loggers)):
            for name in named:
                other = self._own.get(Key(kind, key.namespace, name))
                if other is not None:
                    names |= other.references.secrets
        return names

    def users_of_config_map(self, namespace: str, name: str) -> list[Key]:
        """The PushDomains whose hooks are in a ConfigMap."""
        users = self._by_namespace.get(("PushDomain", namespace), {}).values()
        return [user for user in users if name in self._own[user].references.config_maps]

    def config_maps_of(self, key: Key) -> set[str]:
        """Names of the ConfigMaps that an object names."""
        own = self._own.get(key)
        return set(own.references.config_maps) if own is not None else set()

    # -- children and pods, by their metadata ---------------------------------------------------------

    def put_meta(self, meta: Meta) -> Meta | None:
        """Take the metadata of a child or pod; what was known before is returned, itself when it is older."""
        entry = self._others.get(meta.key)
        known = entry.meta if entry is not None else None
        if known is not None and known.uid == meta.uid and is_newer(known.version, meta.version):
            return meta
        if entry is None or known is None or known.uid != meta.uid:
            if known is not None:
                self.remove_meta(known.key)
            self._others[meta.key] = _Other(meta)
        else:
            self._unindex(known)
            entry.meta = meta
            if known.version != meta.version:
                entry.body = None
        owner = push_domain_of(meta)
        if owner:
            self._by_push_domain.setdefault((meta.key.namespace, owner), {})[meta.key] = None
        return known

    def remove_meta(self, key: Key, uid: str | None = None) -> Meta | None:
        """A child or pod is gone; what was known is returned."""
        entry = self._others.get(key)
        if entry is None or (uid is not None and entry.meta.uid != uid):
            return None
        del self._others[key]
        self._pods.pop(entry.meta.uid, None)
        self._unindex(entry.meta)
        return entry.meta

    def _unindex(self, meta: Meta) -> None:
        index = (meta.key.namespace, push_domain_of(meta))
        siblings = self._by_push_domain.get(index, {})
        siblings.pop(meta.key, None)
        if not siblings:
            self._by_push_domain.pop(index, None)

    def meta(self, key: Key) -> Meta | None:
        """Metadata of a child or pod."""
        entry = self._others.get(key)
        return entry.meta if entry is not None else None

    def metas(self, kind: str) -> Iterator[Meta]:
        """Metadata of everything of one kind."""
        return (entry.meta for key, entry in list(self._others.items()) if key.kind == kind)

    # -- children -------------------------------------------------------------------------------------

    def children_of(self, namespace: str, name: str) -> list[Child]:
        """Children of a PushDomain and the claims of its pods, by label."""
        entries = [
            self._others[key]
            for key in self._by_push_domain.get((namespace, name), {})
            if key.kind in RELATED
        ]
        return [entry.child() for entry in entries]

    def take(self, key: Key, document: Document) -> Child:
        """Take a child, or somebody else's object of a child's name, as it was read."""
        meta = read_meta(document, key.kind)
        if meta.labels.get(Names.MANAGED_LABEL) == Names.FIELD_MANAGER:
            self.put_meta(meta)
            self._keep(meta, document)
        entry = self._others.get(key)
        return Child(meta, document) if entry is None else replace(entry.child(), meta=meta, body=document)

    def written(self, key: Key, document: Document) -> None:
        """Take the answer to a write of ours: a child as it is now."""
        meta = read_meta(document, key.kind)
        self.put_meta(meta)
        self._keep(meta, document)
        self.set_in_sync(meta)

    def tried(self, key: Key, applied: str, answer: Document, left: Document | None) -> Child | None:
        """Take what the API server makes of a manifest with this hash, and of a removal beside it."""
        entry = self._others.get(key)
        if entry is None:
            return None
        entry.trial = (applied, answer)
        entry.cleaned = (applied, left) if left is not None else entry.cleaned
        return entry.child()

    def _keep(self, meta: Meta, document: Document) -> None:
        entry = self._others[meta.key]
        if meta.key.kind in READ_IN_FULL and entry.meta.version == meta.version:
            entry.body = document

    def in_sync(self, meta: Meta) -> bool:
        """Whether the desired state of this child is as it was when it was last compared or written."""
        entry = self._others.get(meta.key)
        return entry is not None and entry.in_sync == meta.fingerprint

    def set_in_sync(self, meta: Meta) -> None:
        """This child was compared, and is as it should be."""
        entry = self._others.get(meta.key)
        if entry is not None:
            entry.in_sync = meta.fingerprint

    # -- pods -----------------------------------------------------------------------------------------

    def pods_of(self, namespace: str, name: str) -> list[Meta]:
        """Metadata of the pods with a dispatcher of a PushDomain, by label."""
        keys = self._by_push_domain.get((namespace, name), {})
        return [self._others[key].meta for key in keys if key.kind == "Pod"]

    def pods(self, namespace: str, name: str) -> tuple[Pod, ...]:
        """The pods with a dispatcher of a PushDomain, and what is known of them."""
        return tuple(self._pod(meta) for meta in self.pods_of(namespace, name))

    def _pod(self, meta: Meta) -> Pod:
        entry = self._pods.get(meta.uid) or _PodEntry()
        details = entry.details or PodDetails(ready=False, trouble="", url=None)
        return Pod(
            meta,
            sidecar=meta.labels.get(Names.NAME_LABEL) != Names.APP,
            ready=details.ready,
            trouble=details.trouble,
            last_report=entry.report,
            url=details.url,
            stale=entry.version != meta.version,
            began=details.began,
            ended=details.ended,
            quiet_for=entry.report.at - entry.quiet_since if entry.report and entry.report.quiet else 0.0,
        )

    def set_details(self, uid: str, version: str, details: PodDetails) -> None:
        """A pod was read."""
        entry = self._pods.setdefault(uid, _PodEntry())
        entry.details, entry.version = details, version

    def set_report(self, uid: str, report: PodReport) -> None:
        """A pod was asked for its metrics."""
        entry = self._pods.setdefault(uid, _PodEntry())
        if entry.report is None or not report.continues(entry.report):
            entry.quiet_since = report.at
        entry.report = report

    def report(self, uid: str) -> PodReport | None:
        """What a pod's metrics said last."""
        return self._pods.get(uid, _PodEntry()).report

    def drop_unknown_pods(self) -> None:
        """Forget what was read of pods that no watch tells of: they were gone by the time of the answer."""
        known = {meta.uid for meta in self.metas("Pod")}
        for uid in self._pods.keys() - known:
            del self._pods[uid]

    # -- Secrets --------------------------------------------------------------------------------------

    def set_secret(self, namespace: str, secret: Secret) -> Secret:
        """A Secret was read; it is returned with whether one of its name was ever immutable."""
        place = namespace, secret.name
        if secret.immutable:
            self._immutable.add(place)
        kept = replace(secret, immutable=place in self._immutable)
        self.secrets.keep(namespace, kept)
        return kept
