"""What a decision is made from: everything observed, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tubepost_operator.credentials import Secrets
from tubepost_operator.observed import Child, Document, Key, LiveStatus, Pod
from tubepost_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class PushDomainSnapshot:
    """A PushDomain and its surroundings.

    `routes` and `loggers` are all of the namespace, `secrets` those that are named and exist. `children` are
    the objects with our labels, and those that were found under a name that a child needs; `absent` are names
    that were looked up and are free. `rejected`: writes that the API server has just refused.
    `unconfirmed_for`: seconds since a pod was first seen to run something else than the served configuration;
    0 while none does. `may_upgrade`: a place of the operator upgrade is free for it. `last_good`: name of the
    ConfigMap and text of the configuration that was published when we last looked.
    """

    now: datetime
    settings: Settings
    document: Document
    routes: Mapping[str, Document] = field(default_factory=dict)
    loggers: Mapping[str, Document] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=dict)
    children: Mapping[Key, Child] = field(default_factory=dict)
    absent: frozenset[Key] = frozenset()
    pods: tuple[Pod, ...] = ()
    live: LiveStatus | None = None
    rejected: Mapping[Key, str] = field(default_factory=dict)
    unconfirmed_for: float = 0.0
    may_upgrade: bool = True
    last_good: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Name of the PushDomain."""
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the PushDomain."""
        return str(self.document["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Identity of the PushDomain: another one of the same name is another one."""
        return str(self.document["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Generation of the PushDomain's spec."""
        return int(self.document["metadata"].get("generation", 1))


@dataclass(frozen=True, slots=True)
class ReferencedSnapshot:
    """An ApnRoute or ApnLogger and its surroundings; `users` are the PushDomains that name it."""

    now: datetime
    document: Document
    secrets: Secrets = field(default_factory=dict)
    users: tuple[str, ...] = ()
