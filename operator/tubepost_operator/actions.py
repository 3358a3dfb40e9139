"""Values that plan hands to apply: what is to be written, deleted and told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tubepost_operator.observed import Document, Key, Meta


@dataclass(frozen=True, slots=True)
class Event:
    """An event about the object that is reconciled."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Apply:
    """Write a child by server-side apply. `create`: it was not there when we looked."""

    key: Key
    manifest: Document = field(repr=False)
    create: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Change nothing of a Deployment but its number of replicas."""

    key: Key
    replicas: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """Annotate a pod, so that the kubelet refreshes its volumes at once."""

    key: Key
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about one object, in this order: writes, removals, refreshes, status, events.

    `status` None: it is as it should be. `again` is in seconds. `same`: children that were compared and found
    as they should be. `upgrade`: the object waits for one of the places of an operator upgrade,
    or takes one.
    """

    apply: tuple[Apply, ...] = ()
    scale: Scale | None = None
    delete: tuple[Meta, ...] = ()
    refresh: tuple[Refresh, ...] = ()
    status: Document | None = None
    events: tuple[Event, ...] = ()
    again: float | None = None
    same: tuple[Meta, ...] = ()
    upgrade: Literal["none", "waiting", "rolling"] = "none"

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.apply or self.scale or self.delete or self.refresh or self.status or self.events)
