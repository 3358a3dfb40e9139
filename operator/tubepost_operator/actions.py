"""What plan hands to apply: objects to apply, scale, delete and refresh, status and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tubepost_operator.observed import Document, Key, Meta, Repair


@dataclass(frozen=True, slots=True)
class Event:
    """An event about the object that is reconciled."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Apply:
    """Write a child by server-side apply. `create`: it did not exist when it was read."""

    key: Key
    manifest: Document = field(repr=False)
    create: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Change nothing of a workload but its number of replicas."""

    key: Key
    replicas: int


@dataclass(frozen=True, slots=True)
class Enlarge:
    """Have a claim grow: `size` is a quantity of bytes."""

    key: Key
    size: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Write on a claim that its queue is known to be empty, or take that off."""

    key: Key
    drained: bool


@dataclass(frozen=True, slots=True)
class Refresh:
    """Annotate a pod, so that the kubelet refreshes its volumes at once."""

    key: Key
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write for one object: marks, children, claims, deletions, refreshes, status, events.

    `status` None: it is up to date. `again`: seconds until the next reconcile. `in_sync`: children that were
    compared with their manifests and need no write. `upgrade`: whether its rollout is subject to the rollout
    limit, and waits or starts. `repaired`: what somebody has changed of children that are put back.
    """

    marks: tuple[Mark, ...] = ()
    apply: tuple[Apply, ...] = ()
    scale: Scale | None = None
    enlarge: tuple[Enlarge, ...] = ()
    delete: tuple[Meta, ...] = ()
    refresh: tuple[Refresh, ...] = ()
    status: Document | None = None
    events: tuple[Event, ...] = ()
    again: float | None = None
    in_sync: tuple[Meta, ...] = ()
    upgrade: Literal["none", "waiting", "rolling"] = "none"
    repaired: Mapping[Key, Repair] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        return bool(
            self.marks
            or self.apply
            or self.scale
            or self.enlarge
            or self.delete
            or self.refresh
            or self.status
            or self.events
        )
