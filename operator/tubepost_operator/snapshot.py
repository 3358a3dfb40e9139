"""What a plan is made from: everything observed, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from tubepost_operator.credentials import Secrets
from tubepost_operator.names import Names
from tubepost_operator.observed import (
    Child,
    ConfigMap,
    Document,
    Fight,
    Found,
    Hooks,
    Key,
    LastEvent,
    LiveStatus,
    Need,
    Pod,
    Refusal,
    Secret,
    Trial,
)
from tubepost_operator.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An object of ours and its surroundings.

    `secrets` are those that it names and that exist; `unread_secrets` are the names of those among them whose
    contents are not known at their present version. `refused`: what cannot be watched in its namespace.
    `read`: what has been read for this reconcile.
    """

    now: datetime
    document: Document
    secrets: Secrets = field(default_factory=dict)
    unread_secrets: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    read: frozenset[Need] = frozenset()

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the object."""
        return str(self.document["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Identity of the object: another one of the same name is another one."""
        return str(self.document["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Generation of the object's spec."""
        return int(self.document["metadata"].get("generation", 1))

    def with_read(self, found: Mapping[Need, Found]) -> Self:
        """The snapshot with what has been read in addition."""
        read = {need.name for need in found if isinstance(need, Key) and need.kind == "Secret"}
        return replace(
            self,
            secrets={
                **self.secrets,
                **{value.name: value for value in found.values() if isinstance(value, Secret)},
            },
            unread_secrets=tuple(name for name in self.unread_secrets if name not in read),
            read=self.read | found.keys(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushDomainSnapshot(Snapshot):
    """A PushDomain and its surroundings.

    `routes` and `loggers` are all of the namespace. `config_maps` are those that it names and that exist;
    `unread_config_maps` the names of those among them whose texts are not known at their present version.
    `children` are the objects with our labels, and those
    that were found under a name that a child needs. `pods` are those that serve or did, `drains` those that
    empty claims. `rejected`: writes that the API server has just
    refused. `unconfirmed_for`: seconds since a pod was first seen to run something else than the selected
    configuration; 0 while none does. `fights`: over which children. `may_upgrade`: the rollout limit has
    room for it. `last_published`: name of the ConfigMap and text of the configuration that was published
    at the last reconcile. `told`: by events, of some objects. `emptying`: immutable
    Secrets that no pod is to mount for a while; `emptied_before`: none did, for the selected configuration.
    """

    settings: Settings
    routes: Mapping[str, Document] = field(default_factory=dict)
    loggers: Mapping[str, Document] = field(default_factory=dict)
    children: Mapping[Key, Child] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    drains: tuple[Pod, ...] = ()
    config_maps: Mapping[str, ConfigMap] = field(default_factory=dict)
    unread_config_maps: tuple[str, ...] = ()
    live: LiveStatus | None = None
    rejected: Mapping[Key, str] = field(default_factory=dict)
    unconfirmed_for: float = 0.0
    fights: Mapping[Key, Fight] = field(default_factory=dict)
    may_upgrade: bool = True
    last_published: tuple[str, str] | None = None
    told: Mapping[Key, str] = field(default_factory=dict)
    emptying: tuple[str, ...] = ()
    emptied_before: bool = False

    def with_read(self, found: Mapping[Need, Found]) -> Self:
        """The snapshot with what has been read in addition."""
        children, pods, told = dict(self.children), (*self.pods, *self.drains), dict(self.told)
        for need, value in found.items():
            if isinstance(value, tuple):
                pods = value
            elif isinstance(need, LastEvent):
                told[need.about] = value if isinstance(value, str) else ""
            elif isinstance(need, Trial):
                if isinstance(value, Child) and need.child in children:
                    known = children[need.child]
                    children[need.child] = replace(known, trial=value.trial, cleaned=value.cleaned)
            elif isinstance(value, Child):
                children[value.meta.key] = value
            elif isinstance(need, Key):
                children.pop(need, None)
        read = {need.name for need in found if isinstance(need, Hooks)}
        texts = {value.name: value for value in found.values() if isinstance(value, ConfigMap)}
        return replace(
            Snapshot.with_read(self, found),
            children=children,
            pods=tuple(pod for pod in pods if not drains(pod)),
            drains=tuple(pod for pod in pods if drains(pod)),
            told=told,
            config_maps={**self.config_maps, **texts},
            unread_config_maps=tuple(name for name in self.unread_config_maps if name not in read),
        )


def drains(pod: Pod) -> bool:
    """Whether a pod empties a claim that no pod of a StatefulSet has."""
    return Names.DRAIN_LABEL in pod.meta.labels


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedSnapshot(Snapshot):
    """An ApnRoute or ApnLogger and its surroundings.

    `users` are the PushDomains that refer to it, `lives` what is known of their dispatchers, by name.
    """

    users: tuple[str, ...] = ()
    lives: Mapping[str, LiveStatus] = field(default_factory=dict)
