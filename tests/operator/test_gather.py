from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.operator.fake import FakeCluster, FakePods
from tests.operator.objects import push_domain, route, secret_document
from tubepost_operator.cache import Cache
from tubepost_operator.gather import Gatherer, observe_push_domain, observe_referenced, read_secret
from tubepost_operator.observed import Key, Need, PodMetrics, PodReport
from tubepost_operator.settings import Settings
from tubepost_operator.snapshot import Snapshot

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ALERTS, APNS = Key("PushDomain", "default", "alerts"), Key("ApnRoute", "default", "apns")
CERT = Key("Secret", "default", "cert")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def cache() -> Cache:
    result = Cache()
    result.put(push_domain())
    result.put(route())
    result.put_secret("default", "cert", "1")
    return result


@pytest.fixture
def pods() -> FakePods:
    return FakePods()


@pytest.fixture
def gatherer(cluster: FakeCluster, cache: Cache, pods: FakePods) -> Gatherer:
    return Gatherer(cluster, cache, pods)


def of_route(cache: Cache) -> Snapshot:
    return observe_referenced(cache, APNS, route(), NOW)


def unread(seen: Snapshot) -> tuple[Need, ...]:
    return tuple(Key("Secret", "default", name) for name in seen.unread_secrets)


async def test_a_secret_is_read_once_and_then_known(
    cluster: FakeCluster, cache: Cache, gatherer: Gatherer
) -> None:
    document = cluster.put(secret_document())
    cache.put_secret("default", "cert", document["metadata"]["resourceVersion"])
    first = of_route(cache)
    assert (first.unread_secrets, dict(first.secrets)) == (("cert",), {})
    seen = await gatherer.gather(first, unread)
    assert seen.secrets["cert"].data.keys() == {"tls.crt", "tls.key"}
    assert of_route(cache).unread_secrets == ()
    assert [request for request in cluster.requests if request[1] == "Secret"] == [("GET", "Secret", "cert")]


async def test_a_secret_that_has_gone_meanwhile_is_not_asked_for_again(
    cache: Cache, gatherer: Gatherer
) -> None:
    seen = await gatherer.gather(of_route(cache), unread)
    assert (seen.unread_secrets, dict(seen.secrets)) == ((), {})
    assert CERT in seen.read


async def test_needs_that_never_end_are_a_fault(cache: Cache, gatherer: Gatherer) -> None:
    with pytest.raises(AssertionError, match="needed again"):
        await gatherer.gather(of_route(cache), lambda _: (CERT,))


async def test_pods_are_asked_all_at_once(cache: Cache, gatherer: Gatherer, pods: FakePods) -> None:
    pods.reports["10.0.0.1"] = PodReport(digest="ab")
    wanted = tuple(
        PodMetrics(ALERTS, f"uid-{number}", f"http://10.0.0.{number}:9090/metrics") for number in (1, 2)
    )
    seen = observe_push_domain(cache, ALERTS, push_domain(), Settings(), NOW)
    await gatherer.gather(seen, lambda seen: () if seen.read else wanted)
    assert len(pods.asked) == 2
    report = cache.report("uid-1")
    assert report is not None
    assert report.digest == "ab"


def test_what_surrounds_an_object(cache: Cache) -> None:
    seen = observe_push_domain(cache, ALERTS, push_domain(), Settings(), NOW)
    assert seen.routes.keys() == {"apns"}
    assert seen.unread_secrets == ("cert",)
    assert observe_referenced(cache, APNS, route(), NOW).users == ("alerts",)


def test_what_is_not_base64_counts_as_empty() -> None:
    document = {"metadata": {"name": "x"}, "data": {"good": "YWI=", "bad": "&", "none": None}}
    assert read_secret(document).data == {"good": b"ab", "bad": b"", "none": b""}
