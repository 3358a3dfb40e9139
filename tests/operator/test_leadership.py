from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client.exposition import generate_latest

from tests.operator.conftest import furnish, made, start
from tests.operator.fake import FakeCluster
from tests.operator.objects import logger
from tubepost_operator import leadership as module
from tubepost_operator.api import ApiError
from tubepost_operator.kinds import CHILDREN
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key
from tubepost_operator.settings import ReleaseSettings


async def test_a_change_between_list_and_watch_is_not_missed(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
    watch = cluster.watch_own
    status_sent = asyncio.Event()

    def note(verb: str, _: str, name: str) -> None:
        if (verb, name) == ("PATCH", "alerts/status"):
            status_sent.set()

    def edit(document: Document) -> None:
        document["spec"]["podTemplate"] = {"labels": {"team": "push"}}

    async def watch_late(tell: Callable[[bool, Document], None]) -> None:
        cluster.edit("PushDomain", "alerts", edit)
        await status_sent.wait()
        await watch(tell)

    cluster.fail = note
    monkeypatch.setattr(cluster, "watch_own", watch_late)
    # A new release gives the operator something to say before it knows of the edit.
    async with start(cluster, release=ReleaseSettings(image="new:1")) as running:
        await running.until(
            lambda: cluster.get_now("Deployment", "alerts")["spec"]["template"]["metadata"]["labels"].get(
                "team"
            )
        )
        await running.until(
            lambda: cluster.get_now("PushDomain", "alerts")["status"]["observedGeneration"] == 2
        )
        text = generate_latest(running.metrics.registry).decode()
    # What it said was made of the version that it had listed, and was refused.
    assert 'tubepost_operator_errors_total{class="conflict",kind="PushDomain"}' in text


async def test_each_namespace_has_its_watches(cluster: FakeCluster) -> None:
    async with start(cluster, namespaces=("one", "two")):
        watched = sorted((kind, selector) for verb, kind, selector in cluster.requests if verb == "WATCH")
    children = [(kind, Names.CHILD_SELECTOR) for kind in CHILDREN]
    pods = [("Pod", Names.CHILD_SELECTOR), ("Pod", Names.INJECT_LABEL)]
    assert watched == sorted([*children, *pods, ("Secret", "")] * 2)


async def test_it_waits_for_kinds_that_are_not_installed_yet(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABSENT_KINDS_INTERVAL", 0.01)
    attempts = 0

    def fail(verb: str, kind: str, _: str) -> ApiError | None:
        nonlocal attempts
        if (verb, kind) != ("LIST", "ApnRoute"):
            return None
        attempts += 1
        return ApiError(404, "the server could not find the requested resource") if attempts < 3 else None

    cluster.fail = fail
    furnish(cluster)
    async with start(cluster) as running:
        assert attempts == 3
        await made(running)


async def test_a_resync_makes_up_for_what_a_watch_missed(cluster: FakeCluster) -> None:
    async with start(cluster, resync=0.05) as running:
        await running.rest()
        watch, cluster.own = cluster.own, None
        cluster.put(logger())
        cluster.own = watch
        await running.until(lambda: running.leadership.cache.get(Key("ApnLogger", "default", "log")))
        await running.until(lambda: cluster.condition("log", of="ApnLogger") == ("True", "NotUsed"))
