from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.kubectl.recorded import Answer, Recorded, answers, frame, recorded, serving
from tubepost_cli.kubectl.cluster import NotAllowed
from tubepost_cli.kubectl.pods_client import PodsClient, forwarded
from tubepost_cli.kubectl.targets import find
from tubepost_cli.queue_client import Refused, Unavailable
from tubepost_dispatcher.queue_request import Action


def part(number: int) -> dict[str, Any]:
    return {"number": number}


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def steps(*documents: dict[str, Any], asked: list[str] | None = None) -> Answer:
    """One answer after the other; requests are written down."""
    left = list(documents)

    def answer(path: str, body: bytes) -> tuple[int, str]:
        if asked is not None:
            asked.append(body.decode() or path)
        return 200, json.dumps(left.pop(0))

    return answer


def test_pods_answer_as_one() -> None:
    journal = {"outlivesWorkers": True, "linesLost": 2}
    first = (
        frame(next="c", partitions=[part(0)], notifications=[{"id": "a"}], journal=journal),
        frame(partitions=[part(0)], notifications=[], journal=journal),
    )
    second = (frame(partitions=[part(0), part(1)], notifications=[{"id": "b"}], journal=journal),)
    asked: list[str] = []
    with serving(steps(*first, asked=asked)) as one, serving(steps(*second)) as two:
        client = PodsClient({"alerts-0": url(one), "alerts-1": url(two)})
        documents = list(client.read("/queue/summary", [("domain", "x")]))
    assert [document["next"] for document in documents] == ["c", "", None]
    listed = [item for document in documents for item in document["notifications"]]
    assert listed == [{"id": "a", "pod": "alerts-0"}, {"id": "b", "pod": "alerts-1"}]
    assert documents[-1]["partitions"] == [
        {"number": 0, "pod": "alerts-0"},
        {"number": 0, "pod": "alerts-1"},
        {"number": 1, "pod": "alerts-1"},
    ]
    assert documents[-1]["journal"]["linesLost"] == 4
    assert "cursor=c" in asked[1]
    assert client.problems == []


def test_a_change_starts_in_each_pod_where_it_was_counted() -> None:
    asked: list[str] = []
    with (
        serving(steps(frame(start="A"), frame(start="A"), asked=asked)) as one,
        serving(steps(frame(start="B"), frame(start="B"), asked=asked)) as two,
    ):
        client = PodsClient({"alerts-0": url(one), "alerts-1": url(two)})
        *_, last = client.change(Action.FLUSH, {"all": True, "dryRun": True})
        list(client.change(Action.FLUSH, {"all": True, "dryRun": False}, last["start"]))
    assert [json.loads(body).get("cursor") for body in asked] == [None, None, "A", "B"]


def test_a_pod_that_was_not_counted_is_not_changed() -> None:
    asked: list[str] = []
    with serving(steps(frame(start="A"), asked=asked)) as one, serving(steps(asked=asked)) as two:
        client = PodsClient({"alerts-0": url(one), "alerts-1": url(two)})
        list(client.change(Action.DROP, {"all": True}, json.dumps({"alerts-0": "A"})))
    assert len(asked) == 1


def test_a_pod_that_does_not_answer_is_a_problem_and_all_of_them_are_an_error() -> None:
    def broken(_path: str, _body: bytes) -> tuple[int, str]:
        return 500, "no"

    with serving(broken) as one, serving(steps(frame(problems=["worker 1 is silent"]))) as two:
        client = PodsClient({"alerts-0": url(one), "alerts-1": url(two)}, problems=["pod alerts-2: gone"])
        assert len(list(client.read("/queue/summary", []))) == 1
        assert [text.partition(": ")[0] for text in client.problems] == [
            "pod alerts-2",
            "pod alerts-0",
            "pod alerts-1",
        ]
        with pytest.raises(Unavailable):
            list(PodsClient({"alerts-0": url(one)}).read("/queue/summary", []))
    with pytest.raises(Unavailable, match="alerts-2: gone"):
        list(PodsClient({}, problems=["pod alerts-2: gone"]).read("/queue/summary", []))


def test_a_request_that_is_refused_is_an_error_of_all() -> None:
    def refusing(_path: str, _body: bytes) -> tuple[int, str]:
        return 400, json.dumps({"error": "olderThan: no duration"})

    with serving(refusing) as one, pytest.raises(Refused, match="no duration"):
        list(PodsClient({"alerts-0": url(one), "alerts-1": url(one)}).read("/queue/summary", []))


def test_forwards_lead_to_each_pod_and_what_cannot_be_opened_is_said() -> None:
    cluster = Recorded({"pods": recorded("pods")})
    pods = find(cluster)
    cluster.answers = {pod.name: answers({}) for pod in pods}
    with forwarded(cluster, pods, metrics=True) as (ports, problems):
        assert {name: set(found) for name, found in ports.items()} == {pod.name: {9091, 9090} for pod in pods}
        assert problems == []
    cluster.forbidden.add("pods/portforward")
    with pytest.raises(NotAllowed, match="portforward"), forwarded(cluster, pods):
        pass
