"""Watch events -> cache, and the objects to enqueue. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tubepost_operator.api import WatchEvent
from tubepost_operator.cache import Cache
from tubepost_operator.contents import Contents
from tubepost_operator.kinds import CLAIM, OWN, POD, WORKLOADS
from tubepost_operator.metadata import object_key, push_domain_of, read_meta
from tubepost_operator.observed import Document, Key, Meta
from tubepost_operator.references import References, references

_STATUS_MATTERS: Final = frozenset({CLAIM.name, POD.name, *WORKLOADS})

Changed = Callable[[Iterable[Key]], None]
"""Enqueues objects."""


class Enqueuer:
    """Fills the cache, and enqueues the objects that a change concerns: exactly those, and none besides.

    Args:
        cache: takes what the watches bring.
        changed: enqueues objects.
    """

    def __init__(self, cache: Cache, changed: Changed) -> None:
        self._cache = cache
        self._changed = changed

    # -- our own kinds --------------------------------------------------------------------------------

    def own(self, gone: bool, document: Document) -> None:
        """An object of ours was added, changed or deleted."""
        if document.get("kind") not in OWN:
            return
        key = object_key(document)
        known = self._cache.get(key)
        if gone:
            if known is not None and known["metadata"].get("uid") == document["metadata"].get("uid"):
                self._removed(key, known)
            return
        if self._cache.put(document):
            # A status, or a word of the user's to the operator, is the object's own affair.
            alone = known is not None and _desire(known) == _desire(document)
            self._changed([key] if alone else self._concerned(key, known, document))

    def known(self, kind: str) -> frozenset[Key]:
        """The objects of a kind that are known."""
        return frozenset(self._cache.keys(kind))

    def listed(
        self,
        kind: str,
        documents: list[Document],
        namespaces: tuple[str, ...],
        before: frozenset[Key] | None = None,
    ) -> None:
        """The complete list of a kind (in these namespaces, or everywhere).

        `before` are the objects that were known before it was asked for: only they can be missing from it.
        """
        there = {object_key(document) for document in documents}
        for document in documents:
            self.own(False, document)
        for key in self.known(kind) if before is None else before:
            known = self._cache.get(key)
            if key not in there and known is not None and (not namespaces or key.namespace in namespaces):
                self._removed(key, known)

    def _removed(self, key: Key, known: Document) -> None:
        concerned = self._concerned(key, known, None)
        self._cache.remove(key, known["metadata"].get("uid"))
        self._changed(concerned)

    def _concerned(self, key: Key, old: Document | None, new: Document | None) -> list[Key]:
        """The object, those that use it, and those that it uses or has used: they list their users."""
        if key.kind != "PushDomain":
            return [key, *self._cache.users_of(key)]
        before = references(old) if old is not None else References()
        after = references(new) if new is not None else References()
        concerned = [key]
        for kind, ours, theirs in (
            ("ApnRoute", before.routes, after.routes),
            ("ApnLogger", before.loggers, after.loggers),
        ):
            concerned += [Key(kind, key.namespace, name) for name in sorted(ours ^ theirs)]
        return [item for item in concerned if item == key or self._cache.get(item) is not None]

    # -- others, by their metadata --------------------------------------------------------------------

    def secret(self, event: WatchEvent) -> None:
        """A Secret of any namespace that is watched."""
        self._referred(event, self._cache.secrets, self._cache.users_of_secret)

    def config_map(self, event: WatchEvent) -> None:
        """A ConfigMap that is no child of ours, of any namespace that is watched."""
        self._referred(event, self._cache.config_maps, self._cache.users_of_config_map)

    def _referred(
        self, event: WatchEvent, contents: Contents[Any], users: Callable[[str, str], Iterable[Key]]
    ) -> None:
        if event.type not in {"Put", "Gone"}:
            return
        metadata = event.document["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if event.type == "Gone":
            contents.remove(namespace, name)
        elif not contents.put(namespace, name, metadata.get("resourceVersion", "")):
            return
        self._changed(users(namespace, name))

    def child(self, kind: str, event: WatchEvent) -> None:
        """A child or a pod, by label."""
        if event.type not in {"Put", "Gone"}:
            return
        if event.type == "Gone":
            metadata = event.document["metadata"]
            key = Key(kind, metadata["namespace"], metadata["name"])
            gone = self._cache.remove_meta(key, metadata["uid"])
            if gone is not None:
                self._changed(_owner(gone))
            return
        meta = read_meta(event.document, kind)
        known = self._cache.put_meta(meta)
        if known is meta or (known is not None and known.version == meta.version):
            return  # older than what is known, or the echo of a write of ours
        if self._matters(meta, known):
            self._changed(_owner(meta))

    def _matters(self, meta: Meta, known: Meta | None) -> bool:
        # Of workloads, claims and pods the status matters, of the others only the desired state.
        if meta.key.kind in _STATUS_MATTERS or known is None:
            return True
        same = (known.labels, known.annotations, known.owner, known.deleting) == (
            meta.labels,
            meta.annotations,
            meta.owner,
            meta.deleting,
        )
        return not (same and self._cache.in_sync(meta))


def _desire(document: Document) -> list[object]:
    """What changes with the desired state of an object of ours."""
    return [document["metadata"].get(field) for field in ("uid", "generation", "deletionTimestamp")]


def _owner(meta: Meta) -> list[Key]:
    name = push_domain_of(meta)
    return [Key("PushDomain", meta.key.namespace, name)] if name else []
