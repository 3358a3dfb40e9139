from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tubepost_cli.queue_client import QueueClient, Refused, Unavailable
from tubepost_dispatcher.queue_request import Action


def client(answer: Callable[[httpx.Request], httpx.Response], **values: Any) -> QueueClient:
    return QueueClient("http://127.0.0.1:9091", transport=httpx.MockTransport(answer), **values)


def page(following: str | None, *problems: str) -> httpx.Response:
    return httpx.Response(200, json={"next": following, "problems": list(problems), "groups": []})


def test_reading_goes_on_until_there_is_no_more() -> None:
    asked: list[list[tuple[str, str]]] = []
    answers = iter([page("1-0-5", "worker 1 is silent"), page("1-1-"), page(None, "worker 1 is silent")])
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.multi_items())
        return next(answers)

    made = client(answer, progress=seen.append)
    assert len(list(made.read("/queue/summary", [("id", "a"), ("id", "b")]))) == 3
    ids = [("id", "a"), ("id", "b")]
    assert asked == [ids, [*ids, ("cursor", "1-0-5")], [*ids, ("cursor", "1-1-")]]
    assert made.problems == ["worker 1 is silent"]
    assert len(seen) == 3


def test_a_reader_that_stops_asks_no_more() -> None:
    asked: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return page("1-0-5")

    for _ in client(answer).read("/queue/notifications", []):
        break
    assert len(asked) == 1


def test_a_change_goes_on_from_where_it_was_told_to_start() -> None:
    sent: list[dict[str, Any]] = []
    answers = iter([page("7-0-3"), page(None)])

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == "application/json"
        assert (request.method, request.url.path) == ("POST", "/queue/drop")
        sent.append(json.loads(request.content))
        return next(answers)

    list(client(answer).change(Action.DROP, {"all": True}, "7-0-"))
    assert sent == [{"all": True, "cursor": "7-0-"}, {"all": True, "cursor": "7-0-3"}]


@pytest.mark.parametrize("status", [400, 413, 415])
def test_a_refusal_is_passed_on_in_its_words(status: int) -> None:
    made = client(lambda _: httpx.Response(status, json={"error": "olderThan: no duration"}))
    with pytest.raises(Refused, match="olderThan: no duration") as refused:
        list(made.read("/queue/summary", []))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(404, text="not found; there are: /metrics"), "--port is the admin port"),
        (httpx.Response(500, json={}), "answered 500"),
        (httpx.Response(200, json={"notifications": []}), "answered 200"),
    ],
)
def test_whoever_else_answers_is_no_dispatcher(response: httpx.Response, words: str) -> None:
    with pytest.raises(Unavailable, match=words) as failed:
        list(client(lambda _: response).read("/queue/summary", []))
    assert failed.value.exit_code == 69


def test_nobody_answers() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(
        Unavailable, match=r"no dispatcher answers at http://127.0.0.1:9091 \(Connection refused"
    ):
        list(client(answer).read("/queue/summary", []))
    with pytest.raises(Unavailable, match="kubectl exec POD"):
        list(QueueClient("http://[").read("/queue/summary", []))
