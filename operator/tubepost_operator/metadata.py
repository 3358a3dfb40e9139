"""Reads the metadata of documents: what the cache keeps of them, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tubepost_api.resource import GROUP
from tubepost_api.suspension import ANNOTATION as SUSPENDED
from tubepost_operator.names import Names
from tubepost_operator.observed import Key, Meta

_PREFIX: Final = f"{GROUP}/"


def read_meta(document: Mapping[str, Any], kind: str) -> Meta:
    """Keep of an object's metadata what matters.

    Annotations of others go: among them is `last-applied-configuration`, which holds a Secret's contents.
    """
    metadata = document["metadata"]
    references: Sequence[Mapping[str, Any]] = metadata.get("ownerReferences") or ()
    owner: Mapping[str, Any] = next((item for item in references if item.get("controller")), {})
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
        co_owners=tuple(str(item.get("uid")) for item in references if not item.get("controller")),
    )


def object_key(document: Mapping[str, Any]) -> Key:
    """Kind, namespace and name of a document."""
    metadata = document["metadata"]
    return Key(document["kind"], metadata["namespace"], metadata["name"])


def push_domain_of(meta: Meta) -> str:
    """Name of the PushDomain that a child or pod belongs to, empty when it does not say."""
    return meta.labels.get(Names.PUSH_DOMAIN_LABEL) or meta.labels.get(Names.INJECT_LABEL) or ""


_HEEDED: Final = (Names.PAUSED_ANNOTATION, Names.ABANDON_ANNOTATION, SUSPENDED)


def told_by_user(metadata: Mapping[str, Any]) -> list[object]:
    """The annotations of a PushDomain that are its user's word to the operator."""
    annotations = metadata.get("annotations") or {}
    return [annotations.get(name) for name in _HEEDED]


def paused_text(metadata: Mapping[str, Any]) -> str | None:
    """What the annotation says that stops writing, None without it."""
    value = (metadata.get("annotations") or {}).get(Names.PAUSED_ANNOTATION)
    return None if value is None else str(value)


def is_older(document: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether a document is older than the known one: a watch tells later than the answer to a write."""
    now, then = document["metadata"], known["metadata"]
    return now.get("uid") == then.get("uid") and is_newer(
        then.get("resourceVersion"), now.get("resourceVersion")
    )


def is_newer(version: str | None, other: str | None) -> bool:
    """Whether one resource version comes after another of the same kind.

    They are numbers that grow, as Kubernetes has promised since 1.35 and always done.
    """
    one, two = (int(text) if text and text.isdigit() else 0 for text in (version, other))
    return one > two
