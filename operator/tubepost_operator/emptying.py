"""Which PushDomains have all their pods stopped, so that kubelets forget an immutable Secret. Pure.

A kubelet that has read an immutable Secret keeps it for as long as one pod on the node mounts it, and gives
it to every new pod there (kubernetes/pkg/kubelet/util/manager, `objectCache.AddReference`). If the Secret
was deleted and made anew, a rollout changes nothing: the old pod goes only when the new one is there. It is
forgotten once no pod is left, so all are stopped at once, and started again when they are gone. Once for
each configuration: where that does not help, pods of others mount the Secret too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tubepost_operator.observed import Key

MOST: Final = 300.0
"""Seconds that pods have to be gone; one on a node that is lost must not keep all others from being
started."""


@dataclass(slots=True)
class _Stop:
    digest: str
    pods: frozenset[str]
    until: float


@dataclass(slots=True)
class Emptying:
    """Remembers which pods have to be gone, by PushDomain."""

    _stops: dict[Key, _Stop] = field(default_factory=dict)

    def look(self, push_domain: Key, digest: str, pods: Iterable[str], now: float, *, stale: bool) -> bool:
        """Whether a PushDomain is to have no pods now.

        Args:
            push_domain: which.
            digest: of the configuration, Secrets included, that its pods are to run.
            pods: uids of all its own pods that exist, those that are being stopped included.
            now: monotonic seconds.
            stale: some of them have an old immutable Secret.
        """
        there = frozenset(pods)
        stop = self._stops.get(push_domain)
        if stop is not None and stop.pods & there and now < stop.until:
            return True
        if stale and there and (stop is None or stop.digest != digest):
            self._stops[push_domain] = _Stop(digest, there, now + MOST)
            return True
        return False

    def done(self, push_domain: Key, digest: str) -> bool:
        """Whether the pods were stopped for this configuration already, and are gone or going."""
        stop = self._stops.get(push_domain)
        return stop is not None and stop.digest == digest

    def forget(self, push_domain: Key) -> None:
        """The PushDomain is gone."""
        self._stops.pop(push_domain, None)
