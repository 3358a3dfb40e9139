"""From a checked configuration to pools and domains, replacing only what must be replaced."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Iterator
from typing import Any

from tubepost_api.config import DeliveryConfig, Throttle
from tubepost_credentials import CertificateCredential
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.apns.pool import Pool, PoolOptions
from tubepost_dispatcher.config.bundle import Prepared, PreparedRoute
from tubepost_dispatcher.delivery.domain import Domain, Domains, Route
from tubepost_dispatcher.delivery.headers import RouteFacts
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.interface import Bucket, PodLimits
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.apns")

CLOSE_GRACE = 30.0
"""Seconds that a replaced pool may take for its last answers; response time-outs end it earlier."""


def _mark(key: Hashable) -> str:
    """A pool's key in few digits that are the same in every worker; says nothing of what is in it."""
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]


def share(total: int, index: int, count: int) -> int:
    """Worker `index`'s part of a per-pod figure, at least 1; the parts add up when `count <= total`.

    0 stands for "no limit" and stays that.
    """
    if not total:
        return 0
    return max(1, total // count + (1 if index < total % count else 0))


class PoolSet:
    """The pools of one worker. Pools are kept across configurations wherever their key stays the same."""

    def __init__(
        self, metrics: Metrics, limits: PodLimits | None = None, *, index: int = 0, count: int = 1
    ) -> None:
        self._metrics = metrics
        self._limits = LocalLimits() if limits is None else limits
        self._index = index
        self._count = count
        self._pools: dict[tuple[str, Hashable, PoolOptions], Pool] = {}
        self._buckets: dict[tuple[str, Throttle], Bucket] = {}
        self._closing = TaskSet()

    def set_count(self, count: int) -> None:
        """How many workers there are, from the next `build` on."""
        self._count = count

    def build(self, prepared: Prepared) -> ActiveConfig:
        """Put a configuration into pools and domains. Pools no longer needed close after their last answer.

        Args:
            prepared: a checked bundle.
        """
        wanted: dict[tuple[str, Hashable, PoolOptions], PreparedRoute] = {}
        config = prepared.config
        for entry in config.entries:
            for name in entry.routes:
                route = prepared.routes[name]
                wanted.setdefault((name, route.pool_key, self._options(entry.delivery)), route)
        old = self._pools
        # The same endpoint and credential with other options: the connections are worth keeping.
        twins: dict[tuple[str, Hashable, PoolOptions], tuple[str, Hashable, PoolOptions]] = {}
        spare = [key for key in old if key not in wanted]
        for key in wanted.keys() - old.keys():
            twin = next((k for k in spare if k[:2] == key[:2]), None)
            if twin is not None:
                spare.remove(twin)
                twins[key] = twin
        # What can fail comes first: until then nothing has changed.
        made = {
            key: Pool(route.config, route.credential, route.ca_pem, route.proxy_auth, key[2], self._metrics)
            for key, route in wanted.items()
            if key not in old and key not in twins
        }
        pools: dict[tuple[str, Hashable, PoolOptions], Pool] = {}
        for key in wanted:
            if key in twins:
                pools[key] = old[twins[key]]
                pools[key].set_options(key[2])
            else:
                pools[key] = old[key] if key in old else made[key]
        self._pools = pools
        for name, pool in [(key[0], old[key]) for key in spare]:
            _LOG.info("route %s: a pool is replaced, it closes after its last answer", name)
            self._close(pool)
        self._record_expiry(prepared)
        return ActiveConfig(
            config=config,
            domains=Domains(DomainLookup(config.entries), tuple(self._domains(prepared))),
            relay_auth=prepared.relay_auth,
            relay_tls=prepared.relay_tls,
            keep_headers=config.bounces is not None and any(one.bounces.enabled for one in config.entries),
        )

    def _options(self, delivery: DeliveryConfig) -> PoolOptions:
        return PoolOptions(
            connect_timeout=delivery.connect_timeout,
            idle_timeout=delivery.idle_timeout,
            max_connections=share(delivery.max_outbound_connections, self._index, self._count),
            max_deliveries_per_connection=delivery.max_deliveries_per_connection,
        )

    def _domains(self, prepared: Prepared) -> Iterator[Domain]:
        buckets: dict[tuple[str, Throttle], Bucket] = {}
        for entry in prepared.config.entries:
            label = entry.name or f"/{entry.pattern}/"
            throttle = None
            if entry.delivery.throttle is not None:
                key = (label, entry.delivery.throttle)
                # A bucket that has been drawn on stays drawn on when something else changes.
                throttle = self._buckets.get(key) or self._limits.bucket(*key)
                buckets[key] = throttle
            options = self._options(entry.delivery)
            routes = []
            for name in entry.routes:
                route = prepared.routes[name]
                pool = self._pools[name, route.pool_key, options]
                routes.append(Route(name, pool, _facts(route), route.config.host))
            yield Domain(entry.delivery, routes, throttle, entry.bounces)
        self._buckets = buckets

    def _record_expiry(self, prepared: Prepared) -> None:
        self._metrics.certificate_expiry.clear()  # a route that is gone must not go on expiring
        for name, route in prepared.routes.items():
            if isinstance(route.credential, CertificateCredential):
                self._metrics.certificate_expiry.labels(name).set(route.credential.not_after.timestamp())

    def _close(self, pool: Pool) -> None:
        self._closing.spawn(pool.close(CLOSE_GRACE))

    def holds(self) -> dict[tuple[str, str], tuple[str, str, float]]:
        """The routes that are held now, each with the mark of its credential, and why."""
        return {
            (name, _mark(key)): hold
            for (name, key, _), pool in self._pools.items()
            if (hold := pool.hold) is not None
        }

    def adopt_hold(self, route: str, credential: str, reason: str, detail: str, seconds: float) -> None:
        """Hold a route as another worker does; an empty reason ends the hold.

        `credential`: the mark of the one that was found out about; a route that has got another one since
        is not concerned.
        """
        for (name, key, _), pool in self._pools.items():
            if name != route or _mark(key) != credential:
                continue
            if reason:
                pool.adopt_hold(reason, detail, seconds)
            else:
                pool.release_hold()

    def status(self) -> list[dict[str, Any]]:
        """The state of every pool, for /status."""
        return [{"route": name, **pool.status()} for (name, _, _), pool in self._pools.items()]

    async def close(self, grace: float) -> None:
        """Close all pools, awaiting answers for at most `grace` seconds."""
        for pool in self._pools.values():
            self._close(pool)
        self._pools = {}
        await self._closing.join(grace)


def _facts(route: PreparedRoute) -> RouteFacts | None:
    credential = route.credential
    config = route.config
    if credential is None:
        return None
    if isinstance(credential, CertificateCredential):
        return RouteFacts(
            topics=frozenset(credential.topics),
            default_topic=config.topic or credential.default_topic,
            auth="certificate",
            defaults=config.defaults,
        )
    return RouteFacts(
        topics=frozenset(),
        default_topic=config.topic,
        auth="token",
        defaults=config.defaults,
    )
