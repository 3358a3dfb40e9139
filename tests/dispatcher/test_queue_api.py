from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from tubepost_dispatcher import queue_api_fields as fields
from tubepost_dispatcher.admin import AdminEndpoint
from tubepost_dispatcher.queue_api import MOST_BODY, queue_changes, queue_reads
from tubepost_dispatcher.queue_request import Action, Change, Cursor, Group, Parameter, Query, Selection
from tubepost_dispatcher.queue_step import Answer, Partition, Queued

NOW = 1_800_000_000.25
SHOWN = Queued(
    "m1", "id", 3, "held", "a.example", "s@b.example", "r@a.example", "abab", "user", "10.0.0.1", 700,
    NOW, None, NOW + 60, 2, "blue", "Shutdown", "alice: why", "com.example", "alert", 5, "c", 2_000_000_000,
)  # fmt: skip


class Queue:
    """Answers everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Query | Change] = []
        self.answer = Answer(
            NOW,
            partitions=[Partition(3, "adopted", 10, 2, 4096, 1, 2, "full")],
            groups=[Group("a.example", "blue", "Shutdown", "", 5, 1, NOW - 60, 3_000)],
            listed=[SHOWN],
            lines=[{"at": NOW, "id": "m1", "event": "deferred", "due": NOW + 1, "accepted": "broken"}],
            looked_at=7,
            under_way=2,
            following=Cursor(NOW, 3, 99),
            problems=["worker 1 does not answer"],
            lines_lost=4,
        )

    async def summary(self, query: Query) -> Answer:
        return self._answer(query)

    async def notifications(self, query: Query) -> Answer:
        return self._answer(query)

    async def trace(self, query: Query) -> Answer:
        return self._answer(query)

    async def change(self, change: Change) -> Answer:
        return self._answer(change)

    def _answer(self, asked: Query | Change) -> Answer:
        self.asked.append(asked)
        return self.answer


@pytest.fixture
async def bench() -> AsyncIterator[tuple[Queue, httpx.AsyncClient]]:
    queue = Queue()
    admin = AdminEndpoint(queue=queue)
    await admin.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin.port}", trust_env=False) as client:
        yield queue, client
    await admin.stop()


Bench = tuple[Queue, httpx.AsyncClient]
FRAME = {
    "asOf": "2027-01-15T08:00:00.250Z",
    "start": "1800000000250-0-",
    "next": "1800000000250-3-99",
    "problems": ["worker 1 does not answer"],
}
GROUP = {
    "domain": "a.example",
    "route": "blue",
    "lastReason": "Shutdown",
    "hold": "",
    "notifications": 5,
    "due": 1,
    "oldest": "2027-01-15T07:59:00.250Z",
    "bytes": 3_000,
}


async def test_a_summary(bench: Bench) -> None:
    queue, client = bench
    response = await client.get("/queue/summary?domain=A.example&olderThan=90s&cursor=1800000000250-3-99")
    assert response.status_code == 200
    assert response.json() == {
        **FRAME,
        "partitions": [
            {
                "number": 3,
                "state": "adopted",
                "notifications": 10,
                "active": 2,
                "bytes": 4096,
                "filesSetAside": 1,
                "entriesSetAside": 2,
                "problem": "full",
            }
        ],
        "groups": [GROUP],
        "lookedAt": 7,
        "journal": {"outlivesWorkers": True, "linesLost": 4},
    }
    assert queue.asked == [Query(Selection(domain="a.example", older_than=90.0), Cursor(NOW, 3, 99))]


async def test_a_list_and_a_trace(bench: Bench) -> None:
    queue, client = bench
    listed = (await client.get("/queue/notifications", params={"id": ["m1", "m2"], "limit": "7"})).json()
    assert listed["next"] == FRAME["next"]
    assert listed["notifications"] == [
        {
            "id": "m1",
            "apnsId": "id",
            "kind": "notification",
            "state": "held",
            "domain": "a.example",
            "sender": "s@b.example",
            "recipient": "r@a.example",
            "tokenPrefix": "abab",
            "channelId": "",
            "accepted": "2027-01-15T08:00:00.250Z",
            "nextTry": None,
            "expires": "2027-01-15T08:01:00.250Z",
            "attempts": 2,
            "route": "blue",
            "lastReason": "Shutdown",
            "hold": "alice: why",
            "topic": "com.example",
            "pushType": "alert",
            "priority": 5,
            "collapseId": "c",
            "apnsExpiration": 2_000_000_000,
            "user": "user",
            "client": "10.0.0.1",
            "bytes": 700,
            "partition": 3,
        }
    ]
    traced = (await client.get("/queue/trace?id=m1")).json()
    assert traced["events"] == [
        {
            "at": "2027-01-15T08:00:00.250Z",
            "id": "m1",
            "event": "deferred",
            "due": "2027-01-15T08:00:01.250Z",
            "accepted": "",
        }
    ]
    assert traced["journal"] == {"outlivesWorkers": True, "linesLost": 4}
    assert queue.asked == [Query(Selection(ids=("m1", "m2")), None, 7), Query(Selection(ids=("m1",)))]


@pytest.mark.parametrize("action", Action)
async def test_a_change(bench: Bench, action: Action) -> None:
    queue, client = bench
    body = {"filter": {"domain": "a.example"}, "reason": "why", "by": "alice", "dryRun": False}
    response = await client.post(f"/queue/{action}", json=body)
    assert response.json() == {
        **FRAME,
        "action": action.value,
        "dryRun": False,
        "groups": [GROUP],
        "underWay": 2,
    }
    assert queue.asked == [Change(action, Selection(domain="a.example"), reason="why", by="alice")]


@pytest.mark.parametrize(
    ("method", "path", "values", "status", "words"),
    [
        ("GET", "/queue/summary?domian=x", {}, 400, "is no parameter"),
        ("GET", "/queue/trace", {}, 400, "id: missing"),
        ("GET", "/queue/drop", {}, 405, "only POST"),
        ("POST", "/queue/summary", {"json": {}}, 405, "only GET and HEAD"),
        ("POST", "/status", {"json": {}}, 405, "only GET and HEAD"),
        ("POST", "/queue/purge", {"json": {}}, 404, "/queue/drop"),
        ("POST", "/queue/drop", {"json": {"all": True, "dryRun": False}}, 400, "reason: drop needs one"),
        ("POST", "/queue/drop", {"json": {}}, 400, "filter: it excludes nothing"),
        ("POST", "/queue/drop", {"data": {"all": "true"}}, 415, "Content-Type: not application/json"),
        ("POST", "/queue/drop", {"content": b"{}"}, 415, "Content-Type"),
        (
            "POST",
            "/queue/drop",
            {"content": b'{"all": tru}', "headers": {"Content-Type": "application/json"}},
            400,
            "The body is not JSON",
        ),
        ("POST", "/queue/drop", {"json": {"all": "x" * MOST_BODY}}, 413, "longer than"),
        (
            "POST",
            "/queue/drop",
            {"json": {"all": True}, "headers": {"Host": "evil.example"}},
            403,
            "localhost",
        ),
        ("GET", "/queue/summary", {"headers": {"Host": "evil.example"}}, 403, "localhost"),
    ],
)
async def test_what_is_refused(
    bench: Bench, method: str, path: str, values: dict[str, Any], status: int, words: str
) -> None:
    queue, client = bench
    response = await client.request(method, path, **values)
    assert (response.status_code, queue.asked) == (status, [])
    assert words in response.text


async def test_a_long_body_without_a_length_is_refused(bench: Bench) -> None:
    queue, client = bench

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 8_192
            await asyncio.sleep(0)

    try:
        response = await client.post(
            "/queue/drop", content=chunks(), headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 413
    except httpx.TransportError:
        pass  # it was closed while the rest was on its way
    assert queue.asked == []


async def test_without_a_queue_there_are_no_paths() -> None:
    admin = AdminEndpoint()
    await admin.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin.port}", trust_env=False) as client:
        assert (await client.get("/queue/summary")).status_code == 404
        assert (await client.post("/queue/drop", json={"all": True})).status_code == 404
    await admin.stop()


async def test_the_reference_has_the_fields_that_are_sent(bench: Bench) -> None:
    def names(fields: Sequence[Parameter]) -> list[str]:
        return [one.name for one in fields]

    _, client = bench
    answers: dict[str, Any] = {}
    for path in fields.PATHS:
        if path.method == "GET":
            answers[path.path] = (await client.get(f"{path.path}?id=m1")).json()
        else:
            answers[path.path] = (await client.post(path.path, json={"all": True, "reason": "why"})).json()
        assert list(answers[path.path]) == names(path.answer), path
    assert list(answers["/queue/summary"]["partitions"][0]) == names(fields.PARTITION)
    assert list(answers["/queue/summary"]["groups"][0]) == names(fields.GROUP)
    assert list(answers["/queue/notifications"]["notifications"][0]) == names(fields.NOTIFICATION)
    parts = {path.path for path in fields.PATHS}
    queue = Queue()
    assert parts == {*queue_reads(queue), *queue_changes(queue)}
    for one in fields.BODY:
        body = {"filter": {"domain": "x"}, "reason": "why", one.name: 7}
        response = await client.post("/queue/hold", json=body)
        assert response.status_code == 400, "it is a field, and 7 is none of its values"
        assert response.json()["error"].startswith((one.name, "filter"))
