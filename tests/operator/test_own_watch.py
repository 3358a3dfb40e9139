from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.operator.fake import FakeCluster
from tests.operator.objects import logger, push_domain, route
from tubepost_operator import own_watch as module
from tubepost_operator.api import ApiError, WatchSource
from tubepost_operator.cache import Cache
from tubepost_operator.enqueue import Enqueuer
from tubepost_operator.kinds import APN_LOGGER, OWN, PUSH_DOMAIN, Kind
from tubepost_operator.liveness import Liveness
from tubepost_operator.observed import Key
from tubepost_operator.own_watch import OwnWatch

GONE = ApiError(404, "the server could not find the requested resource")
ALERTS = Key("PushDomain", "default", "alerts")


class Watching:
    def __init__(self, cluster: FakeCluster, namespace: str | None = None) -> None:
        self.cluster = cluster
        self.cache = Cache()
        self.told: list[WatchSource] = []
        self.liveness = Liveness(time.monotonic)
        self.own = OwnWatch(
            cluster,
            lambda *given: cluster.watch_own(*given),  # noqa: PLW0108 - looked up when it is called
            namespace,
            Enqueuer(self.cache, lambda _: None),
            self.cache.access,
            self.liveness,
            self.told.append,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for is in the cluster's objects
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def watching(cluster: FakeCluster, namespace: str | None = None) -> AsyncIterator[Watching]:
    result = Watching(cluster, namespace)
    task = asyncio.create_task(result.own.run())
    try:
        yield result
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(module, "_RETRIES", module.Exponential(0.01, 0.05))


async def test_what_is_listed_is_watched_from_then_on(cluster: FakeCluster) -> None:
    cluster.put(push_domain())
    async with watching(cluster) as seen:
        await seen.until(seen.own.listed.is_set)
        assert seen.cache.get(ALERTS)
        await seen.until(lambda: None in cluster.owns)
        cluster.put(route())
        assert seen.cache.get(Key("ApnRoute", "default", "apns"))
        cluster.remove("PushDomain", "alerts")
        assert seen.cache.get(ALERTS) is None
        assert cluster.own_watches == [(None, list(OWN))]


async def test_a_kind_that_is_refused_does_not_keep_the_others_from_being_watched(
    cluster: FakeCluster,
) -> None:
    cluster.put(push_domain())
    cluster.put(logger())
    cluster.refused["ApnLogger", None] = ApiError(403, "forbidden")
    async with watching(cluster) as seen:
        await seen.until(lambda: cluster.own_watches)
        assert cluster.own_watches == [(None, ["PushDomain", "ApnRoute"])]
        assert seen.cache.get(ALERTS)
        assert seen.cache.access.names() == ("apnloggers",)
        assert [source.kind for source in seen.told] == [APN_LOGGER]
        cluster.permit("ApnLogger", None)
        await seen.until(lambda: seen.cache.get(Key("ApnLogger", "default", "log")))
        await seen.until(lambda: len(cluster.own_watches) == 2)
        assert cluster.own_watches[1] == (None, list(OWN))
        assert seen.cache.access.names() == ()
        assert [source.kind for source in seen.told] == [APN_LOGGER] * 2


async def test_definitions_that_are_deleted_and_applied_anew_are_watched_again(cluster: FakeCluster) -> None:
    cluster.put(push_domain())
    async with watching(cluster) as seen:
        await seen.until(lambda: None in cluster.owns)
        cluster.objects.clear()
        for kind in OWN:
            cluster.refuse(kind, None, GONE)
        await seen.until(lambda: len(seen.cache.access.names()) == len(OWN))
        assert seen.cache.get(ALERTS) is None, "without its definition there is none"
        assert "crds/" in seen.cache.access.blind(PUSH_DOMAIN)
        for kind in OWN:
            cluster.permit(kind, None)
        cluster.put(push_domain())
        await seen.until(lambda: seen.cache.get(ALERTS))
        assert seen.cache.access.names() == ()


async def test_a_watch_that_brings_nothing_is_begun_anew(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEGUN", 0.05)
    begun: list[str | None] = []

    async def mute(namespace: str | None, *_: object) -> None:
        begun.append(namespace)
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster, "watch_own", mute)
    async with watching(cluster, "one") as seen:
        await seen.until(lambda: len(begun) == 3)
        cluster.put(push_domain(namespace="one"))
        # Each time everything is listed, so that nothing is missed meanwhile.
        await seen.until(lambda: seen.cache.get(Key("PushDomain", "one", "alerts")))
    assert set(begun) == {"one"}


async def test_a_watch_that_hangs_after_a_refusal_is_begun_anew(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kopf does not always end when a definition is deleted under it."""
    begun = 0

    async def hang(*given: Any) -> None:
        nonlocal begun
        begun += 1
        *_, start, note, refuse = given
        for kind in OWN.values():
            start(kind.plural)
            note(kind.plural)
        refuse("v1alpha1")
        if begun == 1:
            refuse("pushdomains")
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster, "watch_own", hang)
    async with watching(cluster) as seen:
        await seen.until(lambda: begun == 2)


async def test_an_api_server_that_is_away_is_no_refusal_and_not_what_a_restart_mends(
    cluster: FakeCluster,
) -> None:
    answers: dict[str, ApiError | None] = {"LIST": ApiError(0, "does not answer")}
    cluster.fail = lambda verb, *_: answers.get(verb)
    async with watching(cluster) as seen:
        await seen.until(lambda: len(cluster.requests) > 3 * len(OWN))
        assert seen.cache.access.names() == ()
        assert not seen.own.listed.is_set()
        assert seen.liveness.silent() == []
        answers["LIST"] = ApiError(500, "etcdserver: leader changed")
        await seen.until(seen.own.listed.is_set)
        assert len(seen.cache.access.names()) == len(OWN), "what lasts is a refusal"
        del answers["LIST"]
        await seen.until(lambda: None in cluster.owns)


async def test_what_is_made_while_the_list_is_on_its_way_is_not_missing_from_it(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(cluster) as seen:
        await seen.until(lambda: None in cluster.owns)
        listing = cluster.list

        async def slow(kind: Kind, namespace: str | None, selector: str = "") -> list[dict[str, object]]:
            found = await listing(kind, namespace, selector)
            if kind is PUSH_DOMAIN:
                cluster.put(push_domain())
            return found

        monkeypatch.setattr(cluster, "list", slow)
        await seen.own.list()
        assert seen.cache.get(ALERTS)
