"""What the watches have told: our own objects in full, of all others their metadata. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tubepost_operator.kinds import CHILDREN
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, Meta
from tubepost_operator.references import References, references

_PREFIX = "tubepost.io/"


def read_meta(document: Mapping[str, Any], kind: str) -> Meta:
    """Keep of an object's metadata what matters.

    Annotations of others go: among them is `last-applied-configuration`, which holds a Secret's contents.
    """
    metadata = document["metadata"]
    owner: Mapping[str, Any] = next(
        (item for item in metadata.get("ownerReferences") or () if item.get("controller")), {}
    )
    annotations = metadata.get("annotations") or {}
    return Meta(
        key=Key(kind, metadata.get("namespace", ""), metadata["name"]),
        uid=metadata["uid"],
        version=metadata.get("resourceVersion", ""),
        generation=int(metadata.get("generation") or 0),
        labels=dict(metadata.get("labels") or {}),
        annotations={key: value for key, value in annotations.items() if key.startswith(_PREFIX)},
        owner=owner.get("uid"),
        owner_name=f"{owner['kind']}/{owner['name']}" if owner else None,
        created=metadata.get("creationTimestamp") or "",
        deleting=bool(metadata.get("deletionTimestamp")),
    )


class Cache:
    """Everything that is known, and who uses whom."""

    def __init__(self) -> None:
        self._objects: dict[Key, Document] = {}
        self._references: dict[Key, References] = {}
        self._namespaces: dict[tuple[str, str], dict[str, Key]] = {}
        self._metas: dict[Key, Meta] = {}
        self._of_push_domain: dict[tuple[str, str], dict[Key, Meta]] = {}
        self._secrets: dict[tuple[str, str], str] = {}

    # -- our own objects ------------------------------------------------------------------------------

    def put(self, document: Document) -> bool:
        """Take an object of ours; whether anything but its status or version is new."""
        key = object_key(document)
        known = self._objects.get(key)
        if known is not None and _older(document, known):
            return False
        self._objects[key] = document
        self._references[key] = references(document)
        self._namespaces.setdefault((key.kind, key.namespace), {})[key.name] = key
        if known is None:
            return True
        now, then = document["metadata"], known["metadata"]
        return any(now.get(field) != then.get(field) for field in ("uid", "generation", "deletionTimestamp"))

    def remove(self, key: Key) -> None:
        """An object of ours is gone."""
        self._objects.pop(key, None)
        self._references.pop(key, None)
        self._namespaces.get((key.kind, key.namespace), {}).pop(key.name, None)

    def get(self, key: Key) -> Document | None:
        """An object of ours."""
        return self._objects.get(key)

    def keys(self, kind: str | None = None) -> list[Key]:
        """All objects of ours, or those of one kind."""
        return [key for key in self._objects if kind is None or key.kind == kind]

    def documents(self, kind: str, namespace: str) -> dict[str, Document]:
        """The objects of a kind in a namespace, by name."""
        names = self._namespaces.get((kind, namespace), {})
        return {name: self._objects[key] for name, key in names.items()}

    def set_status(self, key: Key, document: Document) -> None:
        """Take the answer to a write of a status, which a watch will tell as well, later."""
        if key in self._objects and not _older(document, self._objects[key]):
            self._objects[key] = document

    # -- users ----------------------------------------------------------------------------------------

    def users_of(self, key: Key) -> list[Key]:
        """The PushDomains that refer to an ApnRoute or ApnLogger."""
        field = "routes" if key.kind == "ApnRoute" else "loggers"
        return [
            user
            for user in self._namespaces.get(("PushDomain", key.namespace), {}).values()
            if key.name in getattr(self._references[user], field)
        ]

    def users_of_secret(self, namespace: str, name: str) -> list[Key]:
        """The routes that refer to a Secret, their PushDomains, and PushDomains that refer to it."""
        found: dict[Key, None] = {}
        for route in self._namespaces.get(("ApnRoute", namespace), {}).values():
            if name in self._references[route].secrets:
                found[route] = None
                found |= dict.fromkeys(self.users_of(route))
        for user in self._namespaces.get(("PushDomain", namespace), {}).values():
            if name in self._references[user].secrets:
                found[user] = None
        return list(found)

    def secrets_of(self, key: Key) -> set[str]:
        """Names of all Secrets that an object needs, those of its routes included."""
        own = self._references.get(key)
        if own is None:
            return set()
        names = set(own.secrets)
        for route in own.routes:
            other = self._references.get(Key("ApnRoute", key.namespace, route))
            if other is not None:
                names |= other.secrets
        return names

    # -- others' objects, by their metadata -----------------------------------------------------------

    def put_meta(self, meta: Meta) -> Meta | None:
        """Take the metadata of a child or pod; what was known before is returned, itself when it is older."""
        known = self._metas.get(meta.key)
        if known is not None and known.uid == meta.uid and _number(known.version) > _number(meta.version):
            return meta
        self._metas[meta.key] = meta
        owner = push_domain_of(meta)
        if owner:
            self._of_push_domain.setdefault((meta.key.namespace, owner), {})[meta.key] = meta
        return known

    def remove_meta(self, key: Key, uid: str | None = None) -> Meta | None:
        """A child or pod is gone; what was known is returned."""
        known = self._metas.get(key)
        if known is None or (uid is not None and known.uid != uid):
            return None
        del self._metas[key]
        owner = push_domain_of(known)
        siblings = self._of_push_domain.get((key.namespace, owner), {})
        siblings.pop(key, None)
        if not siblings:
            self._of_push_domain.pop((key.namespace, owner), None)
        return known

    def metas(self, kind: str) -> Iterator[Meta]:
        """Everything of one kind."""
        return (meta for key, meta in list(self._metas.items()) if key.kind == kind)

    def children_of(self, namespace: str, name: str) -> list[Meta]:
        """Children of a PushDomain, by label."""
        return [
            meta
            for key, meta in self._of_push_domain.get((namespace, name), {}).items()
            if key.kind in CHILDREN
        ]

    def pods_of(self, namespace: str, name: str) -> list[Meta]:
        """Pods with a dispatcher of a PushDomain, by label."""
        return [
            meta for key, meta in self._of_push_domain.get((namespace, name), {}).items() if key.kind == "Pod"
        ]

    # -- Secrets --------------------------------------------------------------------------------------

    def put_secret(self, namespace: str, name: str, version: str) -> bool:
        """Take the version of a Secret; whether it is new."""
        if self._secrets.get((namespace, name)) == version:
            return False
        self._secrets[namespace, name] = version
        return True

    def remove_secret(self, namespace: str, name: str) -> None:
        """A Secret is gone."""
        self._secrets.pop((namespace, name), None)

    def secret_version(self, namespace: str, name: str) -> str | None:
        """Version of a Secret, None when it does not exist."""
        return self._secrets.get((namespace, name))

    def secret_names(self) -> list[tuple[str, str]]:
        """Namespace and name of all Secrets."""
        return list(self._secrets)


def object_key(document: Mapping[str, Any]) -> Key:
    """Kind, namespace and name of a document."""
    metadata = document["metadata"]
    return Key(document["kind"], metadata["namespace"], metadata["name"])


def push_domain_of(meta: Meta) -> str:
    """Name of the PushDomain that a child or pod belongs to, empty when it does not say."""
    return meta.labels.get(Names.PUSH_DOMAIN_LABEL) or meta.labels.get(Names.INJECT_LABEL) or ""


def _older(document: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether a document is older than the known one: a watch tells later than the answer to a write."""
    now, then = document["metadata"], known["metadata"]
    return bool(
        now.get("uid") == then.get("uid")
        and _number(now.get("resourceVersion")) < _number(then.get("resourceVersion"))
    )


def _number(version: str | None) -> int:
    # Versions of one kind are numbers that grow, as Kubernetes has promised since 1.35 and always done.
    return int(version) if version and version.isdigit() else 0
