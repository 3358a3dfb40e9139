"""Which PushDomains have pods without an immutable Secret for a while, so that kubelets forget it. Pure.

A kubelet that has read an immutable Secret keeps it for as long as one pod on the node mounts it, and gives
it to every new pod there (kubernetes/pkg/kubelet/util/manager, `objectCache.AddReference`). If the Secret
was deleted and made anew, a rollout changes nothing: the old pod goes only when the new one is there. It is
forgotten once no pod is left that mounts it, so all make room for pods that do not, or for none, and are
started again when they are gone. Once for each configuration: where that does not help, pods of others mount
the Secret too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tubepost_operator.observed import Key

MOST: Final = 600.0
"""Seconds that pods have to be gone; one on a node that is lost must not keep all others from being
started."""


@dataclass(slots=True)
class _Stop:
    digest: str
    secrets: tuple[str, ...]
    pods: frozenset[str]
    until: float


@dataclass(slots=True)
class Emptying:
    """Remembers which pods have to be gone, by PushDomain."""

    _stops: dict[Key, _Stop] = field(default_factory=dict)

    def look(
        self, push_domain: Key, digest: str, pods: Iterable[str], now: float, *, stale: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Names of the Secrets that no pod of a PushDomain is to mount now.

        Args:
            push_domain: which.
            digest: of the configuration, Secrets included, that its pods are to run.
            pods: uids of all its own pods that mount them, those that are being stopped included.
            now: monotonic seconds.
            stale: names of the immutable Secrets of which some of them have an old version.
        """
        there = frozenset(pods)
        stop = self._stops.get(push_domain)
        if stop is not None and stop.pods & there and now < stop.until:
            return stop.secrets
        if stale and there and (stop is None or stop.digest != digest):
            self._stops[push_domain] = _Stop(digest, stale, there, now + MOST)
            return stale
        return ()

    def done(self, push_domain: Key, digest: str) -> bool:
        """Whether the pods were stopped for this configuration already, and are gone or going."""
        stop = self._stops.get(push_domain)
        return stop is not None and stop.digest == digest

    def forget(self, push_domain: Key) -> None:
        """The PushDomain is gone."""
        self._stops.pop(push_domain, None)
