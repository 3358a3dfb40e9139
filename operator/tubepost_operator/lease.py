"""Leader election with a Lease: a pure state machine, and the guard that every write passes.

The leader renews every `Settings.lease_renew` seconds; a follower that sees no renewal for as long as the
Lease says, by its own clock, takes over. The leader counts its time from before it sent the renewal,
followers from when they saw it, so that the leader's time is always over first, however the clocks of the
nodes differ.

Source of the record: Kubernetes, coordination.k8s.io/v1.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tubepost_operator.observed import Document
from tubepost_operator.settings import LEASE_DURATION


class NotLeader(Exception):
    """A write was withheld: this process does not (or no longer) hold the Lease."""


class Guard:
    """A fence: says whether this process may write right now. Thread-safe.

    A process that was frozen finds its time over here: the monotonic clock goes on while a process is
    stopped.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = -math.inf
        self._lock = threading.Lock()

    def hold(self, until: float) -> None:
        """The Lease is ours until this time of the clock."""
        with self._lock:
            self._until = until

    def drop(self) -> None:
        """The Lease is not ours."""
        with self._lock:
            self._until = -math.inf

    @property
    def held(self) -> bool:
        """Whether writing is allowed now."""
        with self._lock:
            return self._clock() < self._until

    def check(self) -> None:
        """Call right before a write is sent.

        Raises:
            NotLeader: the Lease is not ours.
        """
        if not self.held:
            raise NotLeader("the Lease is not held")


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says. `version` is the object's resourceVersion."""

    holder: str
    version: str
    renewed: str
    transitions: int = 0
    duration: float = LEASE_DURATION

    @property
    def mark(self) -> tuple[str, str]:
        """Changes with every renewal."""
        return (self.holder, self.renewed)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: write this Lease (`create` where there was none), or wait."""

    action: Literal["create", "update", "wait"]
    lease: Document | None = None


class Elector:
    """Decides, from what the Lease says and what time it is, whether to try to take or renew it.

    Times are those of a monotonic clock; `wall` is the time to write into the Lease, for people.
    """

    def __init__(self, identity: str, name: str, namespace: str, duration: float = LEASE_DURATION) -> None:
        self.identity = identity
        self._name = name
        self._namespace = namespace
        self._duration = duration
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0

    def step(self, record: LeaseRecord | None, now: float, wall: datetime) -> Step:
        """What to do, given the Lease as it was just read (None: there is none)."""
        if record is None:
            return Step("create", self._lease(None, wall))
        if self._seen is None or self._seen.mark != record.mark:
            self._seen_at = now
        self._seen = record
        free = not record.holder or record.holder == self.identity
        if free or now - self._seen_at >= record.duration:
            return Step("update", self._lease(record, wall))
        return Step("wait")

    def release(self, record: LeaseRecord, wall: datetime) -> Document:
        """The Lease without a holder, so that the next one need not wait."""
        lease = self._lease(record, wall)
        lease["spec"]["holderIdentity"] = ""
        lease["spec"]["leaseDurationSeconds"] = 1
        return lease

    def _lease(self, record: LeaseRecord | None, wall: datetime) -> Document:
        same = record is not None and record.holder == self.identity
        moment = wall.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata: Document = {"name": self._name, "namespace": self._namespace}
        spec: Document = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, int(self._duration)),
            "renewTime": moment,
            "leaseTransitions": (record.transitions if record else 0) + (0 if same or record is None else 1),
        }
        if record is not None:
            metadata["resourceVersion"] = record.version
        if not same:
            spec["acquireTime"] = moment
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }


def read_lease_record(lease: Document) -> LeaseRecord:
    """A Lease as the API server gives it; what is missing or odd counts as expired."""
    spec: dict[str, Any] = lease.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        version=str(lease["metadata"].get("resourceVersion", "")),
        renewed=str(spec.get("renewTime") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
        duration=float(seconds) if isinstance(seconds, int) and seconds > 0 else LEASE_DURATION,
    )
