from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.bundles import SECRETS, bundle, prepared
from tubepost_api.config import DeliveryConfig, EntryConfig, Throttle
from tubepost_dispatcher.config.bundle import Prepared
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.worker import pools as module
from tubepost_dispatcher.worker.pools import SLICE, Parts, PoolSet, share


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_shares_add_up_and_nobody_has_nothing(total: int, count: int) -> None:
    shares = [share(total, index, count) for index in range(count)]
    assert min(shares) >= 1
    assert sum(shares) == max(total, count)
    assert max(shares) - min(shares) <= 1


@given(st.integers(0, 63), st.integers(1, 64))
def test_no_limit_stays_no_limit(index: int, count: int) -> None:
    assert share(0, index, count) == 0


@pytest.fixture
async def pools() -> AsyncIterator[PoolSet]:
    made = PoolSet(Metrics(), index=0, count=2)
    yield made
    await made.close(1.0)


def _entry(**delivery: object) -> EntryConfig:
    return EntryConfig(
        name="apn.example.com", routes=("apns", "token"), delivery=DeliveryConfig.model_validate(delivery)
    )


async def test_pools_stay_where_endpoint_and_credential_stay(pools: PoolSet) -> None:
    (before,) = pools.build(prepared()).domains._domains
    (after,) = pools.build(prepared(entries=(_entry(response_timeout=9.0),))).domains._domains
    assert [r.pool for r in after.routes] == [r.pool for r in before.routes]
    (after,) = pools.build(prepared(entries=(_entry(max_outbound_connections=4),))).domains._domains
    assert [r.pool for r in after.routes] == [r.pool for r in before.routes]
    routes = dict(bundle().config.routes)
    routes["apns"] = routes["apns"].model_copy(update={"port": 2})
    (after,) = pools.build(prepared(routes=routes)).domains._domains
    assert after.routes[0].pool is not before.routes[0].pool
    assert after.routes[1].pool is before.routes[1].pool


async def test_a_pool_that_cannot_be_made_changes_nothing(
    pools: PoolSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = pools.build(prepared()).domains._domains
    routes = dict(bundle().config.routes)
    routes["apns"] = routes["apns"].model_copy(update={"port": 2})

    def broken(*_: object, **__: object) -> None:
        raise ssl.SSLError("no")

    with monkeypatch.context() as patch:
        patch.setattr(module, "Pool", broken)
        with pytest.raises(ssl.SSLError):
            pools.build(prepared(routes=routes))
    (after,) = pools.build(prepared()).domains._domains
    assert [r.pool for r in after.routes] == [r.pool for r in before.routes]


def _many(count: int) -> Prepared:
    """So many domains, each with pools of its own."""
    entries = (
        EntryConfig(
            name=f"apn{number}.example.com",
            routes=("apns", "token"),
            delivery=DeliveryConfig(connect_timeout=1.0 + number),
        )
        for number in range(count)
    )
    return prepared(entries=tuple(entries))


async def test_many_pools_and_domains_are_made_a_slice_in_each_turn_of_the_loop(
    pools: PoolSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools.build(prepared())
    before = dict(pools._pools)
    many = _many(5 * SLICE)
    parts = Parts.of(many, pools.contexts)
    made: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        whole = getattr(module, name)

        def make(*args: object, **kwargs: object) -> object:
            made.append(name)
            return whole(*args, **kwargs)

        return make

    for name in ("Pool", "Domain", "PoolOptions"):
        monkeypatch.setattr(module, name, counted(name))
    building = asyncio.ensure_future(pools.build_in_slices(many, parts))
    turns = []
    while not building.done():
        assert pools._pools == before, "all of it is put in force at once"
        made.clear()
        await asyncio.sleep(0)
        turns.append(Counter(made))
    domains = (await building).domains._domains
    assert len(domains) == sum(turn["Domain"] for turn in turns) == 5 * SLICE
    assert len({route.pool for domain in domains for route in domain.routes}) == 10 * SLICE
    assert max(sum(turn.values()) for turn in turns) <= 3 * SLICE


async def test_what_is_cancelled_between_two_slices_changes_nothing(pools: PoolSet) -> None:
    pools.build(prepared())
    before, contexts = dict(pools._pools), pools.contexts
    many = _many(5 * SLICE)
    building = asyncio.ensure_future(pools.build_in_slices(many, Parts.of(many, pools.contexts)))
    for _ in range(3):
        await asyncio.sleep(0)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert pools._pools == before
    assert pools.contexts is contexts


async def test_all_pools_of_a_route_share_a_tls_context_and_the_next_configuration_keeps_it(
    pools: PoolSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    whole = module.client_context

    def counted(*args: Any) -> ssl.SSLContext:
        made.append(args)
        return whole(*args)

    monkeypatch.setattr(module, "client_context", counted)
    many = _many(10)
    await pools.build_in_slices(many, Parts.of(many, pools.contexts))
    assert len(pools._pools) == 20
    assert len(made) == 2
    assert Parts.of(prepared(), pools.contexts).contexts == pools.contexts
    assert len(made) == 2


async def test_pools_that_nobody_needs_are_closed_a_slice_in_each_turn(
    pools: PoolSet, caplog: pytest.LogCaptureFixture
) -> None:
    pools.build(_many(3 * SLICE))
    old = list(pools._pools.values())
    with caplog.at_level("INFO", "tubepost.apns"):
        pools.build(prepared())
        closed = [0]
        async with asyncio.timeout(60):
            while closed[-1] < len(old) - 2:
                await asyncio.sleep(0)
                closed.append(sum(pool._closing is not None for pool in old))
    assert max(after - before for before, after in pairwise(closed)) <= SLICE
    assert f"route apns: {3 * SLICE - 1} pools are replaced, closing after the last answers" in caplog.text


def test_domains_that_are_looked_up_at_once_are_found_beforehand() -> None:
    parts = Parts.of(prepared(), names=("apn.example.com", "nobody.example"))
    known = parts.lookup._find_cached.cache_info()
    assert known.misses == 2
    assert parts.lookup.find("apn.example.com") == 0
    assert parts.lookup._find_cached.cache_info().misses == 2


async def test_connections_are_the_pods(pools: PoolSet) -> None:
    options = pools._options(DeliveryConfig(max_outbound_connections=5))
    assert options.max_connections == 3
    assert pools._options(DeliveryConfig(max_outbound_connections=0)).max_connections == 0


async def test_a_throttle_that_was_drawn_on_stays_so_until_it_changes(pools: PoolSet) -> None:
    entry = _entry(throttle=Throttle(messages=2, seconds=1.0))
    (before,) = pools.build(prepared(entries=(entry,))).domains._domains
    (after,) = pools.build(prepared(entries=(entry,), log_level="Debug")).domains._domains
    assert after.throttle is before.throttle
    (after,) = pools.build(
        prepared(entries=(_entry(throttle=Throttle(messages=3, seconds=1.0)),))
    ).domains._domains
    assert after.throttle is not before.throttle
    (before,) = pools.build(prepared(entries=(entry,))).domains._domains
    pools.set_count(3)
    (after,) = pools.build(prepared(entries=(entry,))).domains._domains
    assert after.throttle is before.throttle  # it is the pod's, however many workers draw on it


async def test_holds_concern_the_credential_they_were_found_with(pools: PoolSet) -> None:
    other = PoolSet(Metrics(), index=1, count=2)
    pools.build(prepared())
    other.build(prepared())
    pool = next(p for (name, _, _), p in pools._pools.items() if name == "token")
    pool.adopt_hold("InvalidProviderToken", "said APNs", 60.0)
    (((route, credential), (reason, detail, seconds)),) = pools.holds().items()
    other.adopt_hold(route, "another one", reason, detail, seconds)
    assert other.holds() == {}
    other.adopt_hold(route, credential, reason, detail, seconds)
    assert list(other.holds()) == [("token", credential)]
    other.adopt_hold(route, credential, "", "", 0.0)
    assert other.holds() == {}
    renewed = {**SECRETS, "token": {**SECRETS["token"], "teamId": b"TEAM654321"}}
    pools.build(prepared(secrets=renewed))
    assert pools.holds() == {}
    pools.adopt_hold(route, credential, reason, detail, seconds)
    assert pools.holds() == {}
    await other.close(1.0)


async def test_a_route_that_is_gone_does_not_go_on_expiring() -> None:
    metrics = Metrics()
    pools = PoolSet(metrics)
    name = "tubepost_certificate_expiry_timestamp_seconds"
    pools.build(prepared())
    assert metrics.registry.get_sample_value(name, {"route": "apns"})
    routes = {"token": bundle().config.routes["token"]}
    entry = EntryConfig(name="apn.example.com", routes=("token",), delivery=DeliveryConfig())
    pools.build(prepared(routes=routes, entries=(entry,)))
    assert metrics.registry.get_sample_value(name, {"route": "apns"}) is None
    await pools.close(1.0)
