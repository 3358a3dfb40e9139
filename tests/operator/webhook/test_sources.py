from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tubepost_operator.api import ApiError
from tubepost_operator.kinds import LIMIT_RANGE, NAMESPACE, Kind
from tubepost_operator.webhook import sources
from tubepost_operator.webhook.sources import FRESH, USABLE, InjectionSources


class FakeReader:
    """Counts, waits for its gate, and fails on demand."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str]] = []
        self.failing = False
        self.forbidden = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        if kind == NAMESPACE:
            assert namespace is None
            self.forbid()
            return {"kind": kind.name, "metadata": {"name": name, "annotations": {"of": name}}}
        self.asked.append((kind.name, namespace, name))
        await self.gate.wait()
        if self.failing:
            raise ConnectionError("no API server")
        if name == "absent" or (name, kind.name) == ("queued", "Deployment"):
            return None
        return {"kind": kind.name, "metadata": {"name": name, "number": len(self.asked)}}

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        assert not selector
        assert not fields
        assert kind == LIMIT_RANGE
        self.forbid()
        return [{"kind": kind.name, "metadata": {"name": "small", "namespace": namespace}}]

    def forbid(self) -> None:
        if self.forbidden:
            raise ApiError(403, "forbidden")


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def published(reader: FakeReader, clock: FakeClock) -> InjectionSources:
    return InjectionSources(reader, clock)


async def test_both_objects_are_read(published: InjectionSources, reader: FakeReader) -> None:
    found = await published.get("shop", "alerts")
    assert found.push_domain is not None
    assert found.push_domain["kind"] == "PushDomain"
    assert found.workload is not None
    assert found.workload["kind"] == "Deployment"
    assert reader.asked == [("PushDomain", "shop", "alerts"), ("Deployment", "shop", "alerts")]


async def test_the_namespace_and_its_limit_ranges_are_read(published: InjectionSources) -> None:
    found = await published.get("shop", "alerts")
    assert found.namespace == {"of": "shop"}
    assert [item["metadata"]["namespace"] for item in found.limit_ranges] == ["shop"]


async def test_without_permission_for_them_pods_get_their_dispatcher_all_the_same(
    published: InjectionSources, reader: FakeReader
) -> None:
    reader.forbidden = True
    found = await published.get("shop", "alerts")
    assert found.workload is not None
    assert (found.namespace, found.limit_ranges) == ({}, ())


async def test_where_there_is_no_deployment_the_stateful_set_is_read(
    published: InjectionSources, reader: FakeReader
) -> None:
    found = await published.get("shop", "queued")
    assert found.workload is not None
    assert found.workload["kind"] == "StatefulSet"
    assert [kind for kind, _, _ in reader.asked] == ["PushDomain", "Deployment", "StatefulSet"]


async def test_what_is_fresh_is_not_read_again(
    published: InjectionSources, reader: FakeReader, clock: FakeClock
) -> None:
    first = await published.get("shop", "alerts")
    clock.advance(FRESH - 0.1)
    assert await published.get("shop", "alerts") is first
    assert len(reader.asked) == 2
    clock.advance(0.2)
    assert await published.get("shop", "alerts") is not first
    assert len(reader.asked) == 4


async def test_what_is_absent_is_remembered_as_well(published: InjectionSources, reader: FakeReader) -> None:
    for _ in range(3):
        found = await published.get("shop", "absent")
        assert (found.push_domain, found.workload) == (None, None)
    assert len(reader.asked) == 2


async def test_a_roll_out_of_many_pods_costs_one_look(
    published: InjectionSources, reader: FakeReader
) -> None:
    reader.gate.clear()
    questions = [asyncio.ensure_future(published.get("shop", "alerts")) for _ in range(100)]
    other = asyncio.ensure_future(published.get("shop", "news"))
    await asyncio.sleep(0)
    questions[0].cancel()  # whoever asked first gives up; the others are not concerned
    await asyncio.sleep(0)
    reader.gate.set()
    answers = await asyncio.gather(*questions[1:], other)
    assert len({id(answer) for answer in answers}) == 2
    assert len(reader.asked) == 4
    assert questions[0].cancelled()


async def test_an_api_server_that_fails(
    published: InjectionSources, reader: FakeReader, clock: FakeClock
) -> None:
    first = await published.get("shop", "alerts")
    reader.failing = True
    with pytest.raises(ConnectionError):
        await published.get("shop", "news")
    clock.advance(USABLE - 1)
    assert await published.get("shop", "alerts") is first
    clock.advance(2)
    with pytest.raises(ConnectionError):
        await published.get("shop", "alerts")
    reader.failing = False
    assert await published.get("shop", "alerts") is not first


async def test_an_abandoned_look_that_fails_is_nobodys_problem(
    published: InjectionSources, reader: FakeReader
) -> None:
    reader.gate.clear()
    reader.failing = True
    question = asyncio.ensure_future(published.get("shop", "alerts"))
    await asyncio.sleep(0)
    question.cancel()
    reader.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await question
    (read,) = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait([read])
    await asyncio.sleep(0)
    reader.failing = False
    assert (await published.get("shop", "alerts")).push_domain is not None


async def test_memory_is_bounded(
    published: InjectionSources, reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CAPACITY", 3)
    for name in "abcd":
        await published.get("shop", name)
    asked = len(reader.asked)
    await published.get("shop", "d")
    assert len(reader.asked) == asked
    await published.get("shop", "a")
    assert len(reader.asked) == asked + 2
