from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tubepost_operator import election as module
from tubepost_operator.api import ApiError
from tubepost_operator.election import Election
from tubepost_operator.lease import Guard, NotLeader
from tubepost_operator.observed import Document
from tubepost_operator.settings import Settings


class Leases:
    """The Lease on a server."""

    def __init__(self) -> None:
        self.lease: Document | None = None
        self.version = 0
        self.reachable = True
        self.writes = 0

    async def read_lease(self, namespace: str, name: str) -> Document | None:
        self._check()
        assert (namespace, name) == ("default", "tubepost-operator")
        return self.lease

    async def write_lease(self, lease: Document, *, create: bool) -> Document:
        self._check()
        if create != (self.lease is None):
            raise ApiError(409, "exists")
        if not create and lease["metadata"].get("resourceVersion") != str(self.version):
            raise ApiError(409, "modified")
        self.version += 1
        self.writes += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    def _check(self) -> None:
        if not self.reachable:
            raise ApiError(0, "no answer")


class Replica:
    def __init__(self, leases: Leases, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.guard = Guard(clock)
        self.terms = 0
        self.leading = asyncio.Event()
        self.ended = asyncio.Event()
        self.fault: Exception | None = None
        settings = Settings(identity=identity, lease_renew=0.05)
        self.election = Election(settings, leases, self.guard, self.lead, clock=clock)
        self.task = asyncio.create_task(self.election.run())

    async def lead(self) -> None:
        self.terms += 1
        self.leading.set()
        try:
            if self.fault is not None:
                fault, self.fault = self.fault, None
                raise fault
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILED_PAUSE", 0.05)


async def test_one_leads_and_the_next_follows_at_once_when_it_leaves() -> None:
    leases = Leases()
    one = Replica(leases, "one")
    async with asyncio.timeout(5):
        await one.leading.wait()
        two = Replica(leases, "two")
        await asyncio.sleep(0.2)
        assert not two.election.leading
        assert two.election.reached
        await one.stop()
        assert one.ended.is_set()
        await two.leading.wait()
    await two.stop()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == ""


async def test_who_stood_still_ends_its_term_before_anything_else() -> None:
    now = 0.0
    leases = Leases()
    one = Replica(leases, "one", lambda: now)
    async with asyncio.timeout(5):
        await one.leading.wait()
        now += 3600.0
        assert not one.election.leading
        await one.ended.wait()
    await one.stop()


async def test_without_the_server_the_term_ends_and_begins_again_when_it_is_back() -> None:
    now = 0.0
    leases = Leases()
    one = Replica(leases, "one", lambda: now)
    async with asyncio.timeout(5):
        await one.leading.wait()
        leases.reachable = False
        await asyncio.sleep(0.1)
        now += 12.0
        await one.ended.wait()
        one.leading.clear()
        leases.reachable = True
        await one.leading.wait()
    assert one.terms == 2
    await one.stop()


async def test_a_term_that_breaks_is_begun_anew() -> None:
    now = time.monotonic
    leases = Leases()
    one = Replica(leases, "one", now)
    one.fault = ValueError("oh")
    async with asyncio.timeout(5):
        while one.terms < 2:  # noqa: ASYNC110 - a plain counter
            await asyncio.sleep(0.01)
    assert one.election.leading
    await one.stop()


async def test_a_lease_that_somebody_else_took_is_lost() -> None:
    now = 0.0
    leases = Leases()
    one = Replica(leases, "one", lambda: now)
    async with asyncio.timeout(5):
        await one.leading.wait()
        assert leases.lease is not None
        leases.version += 1
        leases.lease = {
            **leases.lease,
            "metadata": {**leases.lease["metadata"], "resourceVersion": str(leases.version)},
            "spec": {**leases.lease["spec"], "holderIdentity": "two", "renewTime": "later"},
        }
        await asyncio.sleep(0.2)
        now += 11.5
        await one.ended.wait()
        await asyncio.sleep(0.1)
    assert leases.lease["spec"]["holderIdentity"] == "two"
    await one.stop()


@pytest.mark.parametrize(
    ("fault", "traceback"),
    [
        (NotLeader("the Lease is not held"), False),
        (ExceptionGroup("tasks", [NotLeader("x"), ApiError(0, "no answer")]), False),
        (ExceptionGroup("tasks", [NotLeader("x"), ValueError("oh")]), True),
        (ValueError("oh"), True),
    ],
)
async def test_only_errors_that_do_not_explain_themselves_have_a_traceback(
    fault: Exception, traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    one = Replica(Leases(), "one")
    one.fault = fault
    async with asyncio.timeout(5):
        while one.terms < 2:  # noqa: ASYNC110 - a plain counter
            await asyncio.sleep(0.01)
    await one.stop()
    (record,) = [record for record in caplog.records if "leader tasks failed" in record.message]
    assert bool(record.exc_info and record.exc_info[0]) is traceback
