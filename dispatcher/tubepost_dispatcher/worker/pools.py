"""From a checked configuration to pools and domains, replacing only what must be replaced.

What takes long, and touches nothing that is in force, is made in a thread (`Parts.of`); the rest in slices,
between which the event loop turns. Only the last step, which puts all of it in force, is one piece.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections import Counter, defaultdict
from collections.abc import Generator, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from tubepost_api.config import DeliveryConfig, EntryConfig, Throttle
from tubepost_credentials import CertificateCredential
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.apns.pool import Pool, PoolOptions
from tubepost_dispatcher.apns.tls import client_context
from tubepost_dispatcher.config.bundle import Prepared, PreparedRoute
from tubepost_dispatcher.delivery.domain import Domain, Domains, Route
from tubepost_dispatcher.delivery.headers import RouteFacts
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.interface import Bucket, PodLimits
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_runtime.tasks import TaskSet
from tubepost_runtime.words import counted

_LOG = logging.getLogger("tubepost.apns")

CLOSE_GRACE = 30.0
"""Seconds that a replaced pool may take for its last answers; response time-outs end it earlier."""
SLICE: Final = 32
"""Pools, or domains, that are made or closed in one turn of the event loop: a few milliseconds at most."""

PoolId = tuple[str, Hashable, PoolOptions]
"""Route, `pool_key` and options: whatever is equal in these has one pool."""


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


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a configuration takes long to make, and needs nothing of the event loop.

    Attributes:
        keys: the `pool_key` of each route.
        contexts: TLS by these keys; the system's authorities alone take some 20 ms.
        lookup: of the domains.
    """

    keys: Mapping[str, Hashable]
    contexts: Mapping[Hashable, ssl.SSLContext]
    lookup: DomainLookup

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        known: Mapping[Hashable, ssl.SSLContext] | None = None,
        names: Iterable[str] = (),
    ) -> Self:
        """Make them. For any thread.

        Args:
            prepared: a checked bundle.
            known: contexts that there are already; they stay.
            names: domains that are looked up at once when the configuration comes into force.

        Raises:
            ValueError, ssl.SSLError: as `Pool`.
        """
        entries = prepared.config.entries
        used = {name for entry in entries for name in entry.routes}
        keys = {name: prepared.routes[name].pool_key for name in used}
        contexts = {}
        for name, key in keys.items():
            route = prepared.routes[name]
            if route.credential is None or key in contexts:
                continue
            context = (known or {}).get(key)
            if context is None:
                context = client_context(route.config.tls, route.credential, route.ca_pem)
            contexts[key] = context
        lookup = DomainLookup(entries)
        for name in names:
            lookup.find(name)  # what it finds, it remembers
        return cls(keys, contexts, lookup)


class PoolSet:
    """The pools of one worker. Pools are kept across configurations wherever their key stays the same."""

    def __init__(
        self, metrics: Metrics, limits: PodLimits | None = None, *, index: int = 0, count: int = 1
    ) -> None:
        self._metrics = metrics
        self._limits = LocalLimits() if limits is None else limits
        self._index = index
        self._count = count
        self._pools: dict[PoolId, Pool] = {}
        self._buckets: dict[tuple[str, Throttle], Bucket] = {}
        self._closing = TaskSet()
        self.contexts: Mapping[Hashable, ssl.SSLContext] = {}
        """TLS of the routes in force, for `Parts.of`; replaced as a whole."""

    def set_count(self, count: int) -> None:
        """How many workers there are, from the next `build` on."""
        self._count = count

    def build(self, prepared: Prepared) -> ActiveConfig:
        """Put a configuration into pools and domains at once: before anything is served.

        Pools that are no longer needed close after their last answer.

        Args:
            prepared: a checked bundle.
        """
        steps = self._steps(prepared, Parts.of(prepared, self.contexts))
        while True:
            try:
                next(steps)
            except StopIteration as end:
                active: ActiveConfig = end.value
                return active

    async def build_in_slices(self, prepared: Prepared, parts: Parts) -> ActiveConfig:
        """The same while messages are served; until it returns, or when it is cancelled, nothing has changed.

        One at a time.
        """
        steps = self._steps(prepared, parts)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                active: ActiveConfig = end.value
                return active
            await asyncio.sleep(0)

    def _steps(self, prepared: Prepared, parts: Parts) -> Generator[None, None, ActiveConfig]:
        """Yields after each slice. What follows the last `yield` puts all of it in force."""
        config = prepared.config
        wanted: dict[PoolId, PreparedRoute] = {}
        for number, entry in enumerate(config.entries, 1):
            options = self._options(entry.delivery)
            for name in entry.routes:
                wanted.setdefault((name, parts.keys[name], options), prepared.routes[name])
            if not number % SLICE:
                yield
        old = self._pools
        # The same endpoint and credential with other options: the connections are worth keeping.
        twins: dict[PoolId, PoolId] = {}
        spare: defaultdict[tuple[str, Hashable], list[PoolId]] = defaultdict(list)
        for key in reversed(old):
            if key not in wanted:
                spare[key[:2]].append(key)
        pools: dict[PoolId, Pool] = {}
        made = 0
        for key, route in wanted.items():
            if key in old:
                pools[key] = old[key]
            elif alike := spare[key[:2]]:
                twins[key] = alike.pop()
                pools[key] = old[twins[key]]
            else:
                pools[key] = self._make(route, key, parts)
                made += 1
                if not made % SLICE:
                    yield
        buckets: dict[tuple[str, Throttle], Bucket] = {}
        domains: list[Domain] = []
        for number, entry in enumerate(config.entries, 1):
            domains.append(self._domain(entry, prepared, parts, pools, buckets))
            if not number % SLICE:
                yield
        yield
        for key in twins:
            pools[key].set_options(key[2])
        self._pools, self._buckets, self.contexts = pools, buckets, parts.contexts
        gone = [(key[0], old[key]) for alike in spare.values() for key in alike]
        if gone:
            self._closing.spawn(self._replace(gone))
        self._record_expiry(prepared)
        return ActiveConfig(
            config=config,
            domains=Domains(parts.lookup, domains),
            relay_auth=prepared.relay_auth,
            relay_tls=prepared.relay_tls,
            keep_headers=config.bounces is not None and any(one.bounces.enabled for one in config.entries),
        )

    def _make(self, route: PreparedRoute, key: PoolId, parts: Parts) -> Pool:
        tls = parts.contexts.get(key[1])
        secrets = (route.credential, route.ca_pem, route.proxy_auth)
        return Pool(route.config, *secrets, key[2], self._metrics, tls=tls)

    def _options(self, delivery: DeliveryConfig) -> PoolOptions:
        return PoolOptions(
            connect_timeout=delivery.connect_timeout,
            idle_timeout=delivery.idle_timeout,
            max_connections=share(delivery.max_outbound_connections, self._index, self._count),
            max_deliveries_per_connection=delivery.max_deliveries_per_connection,
        )

    def _domain(
        self,
        entry: EntryConfig,
        prepared: Prepared,
        parts: Parts,
        pools: Mapping[PoolId, Pool],
        buckets: dict[tuple[str, Throttle], Bucket],
    ) -> Domain:
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
            pool = pools[name, parts.keys[name], options]
            routes.append(Route(name, pool, _facts(route), route.config.host))
        return Domain(entry.delivery, routes, throttle, entry.bounces)

    def _record_expiry(self, prepared: Prepared) -> None:
        self._metrics.certificate_expiry.clear()  # a route that is gone must not go on expiring
        for name, route in prepared.routes.items():
            if isinstance(route.credential, CertificateCredential):
                self._metrics.certificate_expiry.labels(name).set(route.credential.not_after.timestamp())

    async def _replace(self, gone: list[tuple[str, Pool]]) -> None:
        """Close pools after their last answers."""
        for name, count in Counter(name for name, _ in gone).items():
            what = counted(count, "pool is", "pools are")
            _LOG.info("route %s: %s replaced, closing after the last answers", name, what)
        closing = TaskSet()
        try:
            for number, (_, pool) in enumerate(gone, 1):
                closing.spawn(pool.close(CLOSE_GRACE))
                if not number % SLICE:
                    await asyncio.sleep(0)
            await closing.join(2 * CLOSE_GRACE)
        finally:
            await closing.cancel()

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
            self._closing.spawn(pool.close(CLOSE_GRACE))
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
