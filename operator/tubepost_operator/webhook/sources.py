"""What the webhook asks of the API server.

Reading goes through a cache, so that a large roll-out of an app costs a handful of requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tubepost_operator.api import ApiError
from tubepost_operator.kinds import DEPLOYMENT, LIMIT_RANGE, NAMESPACE, PUSH_DOMAIN, STATEFUL_SET, Kind
from tubepost_operator.webhook.review import InjectionSource
from tubepost_runtime.single_flight import SingleFlight

_LOG = logging.getLogger("tubepost.webhook")

WEBHOOK_CONFIGURATION: Final = Kind(
    "MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations"
)
"""The object by which the API server knows the webhook; it has no namespace."""

FRESH = 2.0
"""Seconds for which objects are cached."""
USABLE = 600.0
"""Seconds for which they are used when they cannot be read again: an API server that asks about pods may be
too busy to answer us."""
CAPACITY = 2_000
"""PushDomains that are cached."""


class Reader(Protocol):
    """The part of the cluster's edge that reads one object."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        """The object, None when there is none."""

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """The objects of a kind in a namespace."""


@dataclass(slots=True)
class _Entry:
    published: InjectionSource
    read_at: float


class InjectionSources:
    """What the operator has published, by PushDomain.

    Args:
        reader: where to read.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._reads = SingleFlight[tuple[str, str], InjectionSource]()

    async def get(self, namespace: str, name: str) -> InjectionSource:
        """PushDomain and workload of this name, at most `FRESH` old (`USABLE` if reading fails).

        Raises:
            Exception: what the reader raises, when nothing usable is remembered.
        """
        key = (namespace, name)
        entry = self._entries.get(key)
        if entry is not None and self._clock() - entry.read_at < FRESH:
            return entry.published
        try:
            return await self._reads.do(key, lambda: self._read(key))
        except asyncio.CancelledError:
            raise
        except Exception:
            if entry is not None and self._clock() - entry.read_at < USABLE:
                return entry.published
            raise

    async def _read(self, key: tuple[str, str]) -> InjectionSource:
        began = self._clock()
        push_domain, workload, namespace, limit_ranges = await asyncio.gather(
            self._reader.get(PUSH_DOMAIN, *key),
            self._reader.get(DEPLOYMENT, *key),
            self._annotations(key[0]),
            self._limit_ranges(key[0]),
        )
        if workload is None and push_domain is not None:
            workload = await self._reader.get(STATEFUL_SET, *key)
        published = InjectionSource(push_domain, workload, namespace, limit_ranges)
        self._entries[key] = _Entry(published, began)
        self._entries.move_to_end(key)
        if len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)
        return published

    async def _annotations(self, namespace: str) -> Mapping[str, str]:
        """Annotations of a namespace; none where it may not be read: no pod fails for want of a size."""
        try:
            found = await self._reader.get(NAMESPACE, None, namespace)
        except ApiError as error:
            _LOG.debug("namespace %s cannot be read: %s", namespace, error)
            return {}
        return ((found or {}).get("metadata") or {}).get("annotations") or {}

    async def _limit_ranges(self, namespace: str) -> tuple[Mapping[str, Any], ...]:
        """LimitRanges of a namespace; none where they may not be read: the API server refuses by itself."""
        try:
            return tuple(await self._reader.list(LIMIT_RANGE, namespace))
        except ApiError as error:
            _LOG.debug("LimitRanges of %s cannot be read: %s", namespace, error)
            return ()
