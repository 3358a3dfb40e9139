"""The configuration that is published: what stands in ConfigMaps of ours."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from tubepost_api.config import DispatcherConfig, text_digest
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key
from tubepost_operator.plan.ownership import is_ours
from tubepost_operator.snapshot import PushDomainSnapshot


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """A configuration that is in a ConfigMap of ours. `text`: as it stands there."""

    name: str
    config: DispatcherConfig
    text: str


def published(snapshot: PushDomainSnapshot) -> PublishedConfig | None:
    """The configuration that pods are started with now.

    The workload says which; without one the status does, and without that the youngest ConfigMap. During a
    move there are two workloads: the status tells which of their configurations is the newest.
    """
    maps = {
        key.name: child
        for key, child in snapshot.children.items()
        if key.kind == "ConfigMap" and is_ours(snapshot, child.meta) and not child.meta.deleting
    }
    names = []
    for kind in ("Deployment", "StatefulSet"):
        child = snapshot.children.get(Key(kind, snapshot.namespace, snapshot.name))
        if child is not None and is_ours(snapshot, child.meta):
            names.append(child.meta.annotations.get(Names.CONFIG_ANNOTATION, ""))
    told = ((snapshot.document.get("status") or {}).get("config") or {}).get("name", "")
    names.sort(key=lambda name: name != told)
    names.append(told)
    names += sorted(maps, key=lambda name: (maps[name].meta.created, name), reverse=True)
    for name in names:
        found = parsed(maps.get(name))
        if found is not None:
            return found
    if snapshot.last_published is not None:
        # Its ConfigMap was removed or edited: put back, even while the newest has a fault.
        return _parsed(*snapshot.last_published)
    return None


def parsed(child: Child | None) -> PublishedConfig | None:
    """What is in a ConfigMap; None for none, one edited by hand, or one of a release too far away."""
    if child is None or child.body is None:
        return None
    text = (child.body.get("data") or {}).get(Names.CONFIG_KEY)
    written = child.meta.annotations.get(Names.CONTENT_ANNOTATION)
    if not isinstance(text, str) or written not in {None, text_digest(text)}:
        return None
    return _parsed(child.meta.key.name, text)


def _parsed(name: str, text: str) -> PublishedConfig | None:
    try:
        return PublishedConfig(name, DispatcherConfig.model_validate_json(text), text)
    except ValidationError:
        return None
