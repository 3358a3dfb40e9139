from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.bundles import SECRETS, bundle, prepared
from tubepost_api.config import DeliveryConfig, EntryConfig, Throttle
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.worker import pools as module
from tubepost_dispatcher.worker.pools import PoolSet, share


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

    def broken(*_: object) -> None:
        raise ssl.SSLError("no")

    with monkeypatch.context() as patch:
        patch.setattr(module, "Pool", broken)
        with pytest.raises(ssl.SSLError):
            pools.build(prepared(routes=routes))
    (after,) = pools.build(prepared()).domains._domains
    assert [r.pool for r in after.routes] == [r.pool for r in before.routes]


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
