from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.operator.fake import FakeCluster, FakePods
from tests.operator.objects import push_domain, route, secret_document
from tubepost_operator.leadership import Leadership
from tubepost_operator.liveness import Liveness
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.settings import Settings

QUICK = Settings(debounce=0.02, live_status_interval=3600.0, resync=3600.0)
PATIENCE = 10.0
"""Seconds for what takes less than one; the test of the back-off waits for 3 of them."""


@dataclass
class Running:
    """An operator that leads, on a cluster in memory."""

    cluster: FakeCluster
    pods: FakePods
    leadership: Leadership
    metrics: OperatorMetrics

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that the operator is to bring about."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():  # noqa: ASYNC110 - what is waited for is in the cluster's objects
                    await asyncio.sleep(0.005)
        except TimeoutError:
            last = self.cluster.requests[-20:]
            pytest.fail(f"it did not come about; the last requests: {last}")

    async def rest(self) -> None:
        """Wait until everything was looked at once and nothing is due any more.

        Turns of the loop are counted, not seconds: a busy machine may give none for a while.
        """
        loop = asyncio.get_running_loop()
        quiet = 0
        async with asyncio.timeout(PATIENCE):
            while quiet < 30:
                controller = self.leadership.controller
                busy = (
                    controller.queue.working
                    or controller.queue.depth(loop.time())
                    or controller.rollouts.closed
                )
                quiet = 0 if busy else quiet + 1
                await asyncio.sleep(0.005)


Start = Callable[..., contextlib.AbstractAsyncContextManager[Running]]


@contextlib.asynccontextmanager
async def start(
    cluster: FakeCluster, pods: FakePods | None = None, **settings: Any
) -> AsyncIterator[Running]:
    metrics = OperatorMetrics()
    pods = pods or FakePods()
    leadership = Leadership(
        replace(QUICK, **settings),
        cluster,
        lambda *given: cluster.watch_own(*given),  # noqa: PLW0108 - looked up when it is called
        pods,
        metrics,
        Liveness(time.monotonic),
    )
    task = asyncio.create_task(leadership.run())
    running = Running(cluster, pods, leadership, metrics)
    try:
        while not leadership.synced:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.005)
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def furnish(cluster: FakeCluster, **spec: Any) -> None:
    cluster.put(secret_document())
    cluster.put(route())
    cluster.put(push_domain(**spec))


async def made(running: Running) -> None:
    """The children are there and all replicas run."""
    cluster = running.cluster
    await running.until(
        lambda: all(
            (kind, "default", "alerts") in cluster.objects for kind in ("Deployment", "PodDisruptionBudget")
        )
    )
    cluster.roll_out()
    await running.until(lambda: cluster.condition("alerts")[0] == "True")
    await running.rest()


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()
