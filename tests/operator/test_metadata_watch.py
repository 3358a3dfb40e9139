from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.operator.server import Handler, Request, Script
from tubepost_operator import metadata_watch
from tubepost_operator.api import WatchEvent, WatchSource
from tubepost_operator.cluster import Cluster
from tubepost_operator.kinds import SECRET
from tubepost_operator.lease import Guard
from tubepost_operator.liveness import Liveness
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.observed import Document

SOURCE = WatchSource("secrets", SECRET, None, "a=b")


def meta(name: str, version: int) -> Document:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
        }
    }


class Watched:
    """A watch on a scripted server, and what it told."""

    def __init__(self, script: Script, cluster: Cluster, liveness: Liveness) -> None:
        self.script = script
        self.cluster = cluster
        self.liveness = liveness
        self.told: list[tuple[str, str]] = []
        self.lists: list[list[Document]] = []
        self.streams: list[Callable[[Handler], None]] = []
        self.list_status: list[int] = []
        self.stream_status: list[int] = []
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.cluster.watch(SOURCE, self.take))

    def respond(self, request: Request, handler: Handler) -> None:
        if "watch" not in request.query:
            if self.list_status:
                handler.answer(self.list_status.pop(0), {"message": "busy"})
                return
            items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            handler.answer(200, {"metadata": {"resourceVersion": "10"}, "items": items})
            return
        if self.stream_status:
            handler.answer(self.stream_status.pop(0), {"message": "no"})
            return
        handler.begin()
        if self.streams:
            self.streams.pop(0)(handler)
        else:
            self.script.stopping.wait(20)
        handler.end()

    def take(self, event: WatchEvent) -> None:
        name = event.document["metadata"]["name"] if "metadata" in event.document else ""
        if event.type == "Refused":
            name = str(event.document["status"])
        self.told.append((event.type, name))

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - it runs in a thread
                await asyncio.sleep(0.005)

    def watch_requests(self) -> list[Request]:
        return [request for request in self.script.requests if "watch" in request.query]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    liveness = Liveness(time.monotonic)
    script = Script(lambda *_: None)
    with script:
        cluster = Cluster(script.kubeconfig(tmp_path), Guard(time.monotonic), liveness, OperatorMetrics())
        found = Watched(script, cluster, liveness)
        script.respond = found.respond
        try:
            found.lists = [[]]
            yield found
        finally:
            assert found.task is not None
            found.task.cancel()
            await asyncio.gather(found.task, return_exceptions=True)
            cluster.close()


async def test_what_is_there_then_what_changes(watched: Watched) -> None:
    watched.lists = [[meta("a", 1), meta("b", 2)]]

    def stream(handler: Handler) -> None:
        handler.line({"type": "ADDED", "object": meta("c", 11)})
        handler.line({"type": "MODIFIED", "object": meta("a", 12)})
        handler.line({"type": "DELETED", "object": meta("b", 13)})
        handler.line({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}})

    watched.streams = [stream]
    watched.start()
    await watched.until(lambda: len(watched.watch_requests()) == 2)
    assert watched.told == [
        ("Put", "a"),
        ("Put", "b"),
        ("Sync", ""),
        ("Put", "c"),
        ("Put", "a"),
        ("Gone", "b"),
    ]
    first, second = watched.watch_requests()
    assert first.query["resourceVersion"] == "10"
    assert second.query["resourceVersion"] == "20"


async def test_only_metadata_is_asked_for_with_times_and_bookmarks(watched: Watched) -> None:
    watched.start()
    await watched.until(watched.watch_requests)
    listing, watching = watched.script.requests
    assert listing.headers["accept"].startswith("application/json;as=PartialObjectMetadataList")
    assert watching.headers["accept"].startswith("application/json;as=PartialObjectMetadata;")
    assert listing.query["labelSelector"] == watching.query["labelSelector"] == "a=b"
    assert watching.query["allowWatchBookmarks"] == "true"
    assert 0 < int(watching.query["timeoutSeconds"]) <= metadata_watch.SECONDS < metadata_watch.READ_TIMEOUT
    assert watching.path == "/api/v1/secrets"


async def test_after_too_long_an_interruption_removals_are_told(watched: Watched) -> None:
    watched.lists = [[meta("a", 1), meta("b", 2)], [meta("b", 3)]]
    gone = {"kind": "Status", "code": 410, "message": "too old"}
    watched.streams = [lambda handler: handler.line({"type": "ERROR", "object": gone})]
    watched.start()
    await watched.until(lambda: watched.told.count(("Sync", "")) == 2)
    assert watched.told[3:] == [("Put", "b"), ("Gone", "a"), ("Sync", "")]


async def test_a_silent_connection_is_given_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    from tubepost_operator import cluster as edge

    monkeypatch.setattr(edge, "WATCH_READ_TIMEOUT", 0.2)
    watched.streams = [lambda _: watched.script.stopping.wait(20)]  # type: ignore[list-item]  # its result is of no use
    watched.start()
    await watched.until(lambda: len(watched.watch_requests()) >= 2)
    assert watched.told == [("Sync", "")]


async def test_errors_are_ridden_out(watched: Watched) -> None:
    watched.list_status = [500]
    watched.lists = [[meta("a", 1)]]
    watched.start()
    await watched.until(lambda: ("Sync", "") in watched.told)
    assert watched.told == [("Put", "a"), ("Sync", "")]


async def test_bookmarks_are_signs_of_life(watched: Watched) -> None:
    watched.streams = [
        lambda handler: handler.line({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}})
    ]
    watched.start()
    await watched.until(lambda: len(watched.watch_requests()) == 2)
    assert watched.liveness.ages()["secrets"] < 5


async def test_a_refusal_is_told_until_it_is_let_in_again(watched: Watched) -> None:
    watched.list_status = [403]
    watched.lists = [[meta("a", 1)]]
    watched.start()
    await watched.until(lambda: ("Restored", "") in watched.told)
    assert watched.told == [("Refused", "403"), ("Put", "a"), ("Sync", ""), ("Restored", "")]


async def test_a_list_alone_ends_no_refusal(watched: Watched) -> None:
    watched.stream_status = [403, 403]
    watched.start()
    await watched.until(lambda: ("Restored", "") in watched.told)
    assert watched.told == [
        *[("Sync", ""), ("Refused", "403")] * 2,
        ("Sync", ""),
        ("Restored", ""),
    ]


async def test_an_error_that_lasts_is_a_refusal(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_watch, "_RETRIES", metadata_watch.Exponential(0.01, 0.02))
    watched.list_status = [500, 500, 500]
    watched.start()
    await watched.until(lambda: ("Restored", "") in watched.told)
    assert watched.told == [("Refused", "500"), ("Sync", ""), ("Restored", "")]


@pytest.mark.parametrize(("status", "tried"), [(403, True), (503, True), (401, False)])
async def test_failed_attempts_count_as_life_where_a_restart_mends_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, status: int, tried: bool
) -> None:
    names: list[str] = []
    monkeypatch.setattr(watched.liveness, "tried", names.append)
    watched.list_status = [status]
    watched.start()
    await watched.until(lambda: ("Sync", "") in watched.told)
    assert names == (["secrets"] if tried else [])
