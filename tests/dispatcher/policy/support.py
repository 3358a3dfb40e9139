"""Policies in real processes, for tests."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.policy.facts import DEAD, facts, request_facts
from tubepost_api.config import PolicyConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.policy.client import PolicyClient
from tubepost_dispatcher.policy.faults import Fault
from tubepost_dispatcher.policy.wire import Point

PATIENCE = 20.0


def settings(source: str, timeout: float = 0.3, memory: int = 64 << 20, processes: int = 1) -> PolicyConfig:
    return PolicyConfig(
        name="hooks", source=textwrap.dedent(source), timeout=timeout, memory=memory, processes=processes
    )


class Asking:
    """A client whose calls are awaited."""

    def __init__(self, client: PolicyClient, metrics: Metrics) -> None:
        self.client = client
        self.metrics = metrics

    def begin(self, sender: str = "a@b.example", point: Point = "dispose") -> asyncio.Future[Any]:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def content() -> dict[str, Any]:
            call = {"message": facts(sender=sender)}
            if point == "request":
                return {**call, "request": request_facts()}
            return {**call, "outcome": DEAD, "response": DEAD}

        self.client.call(
            point, content, lambda answer: answered.done() or answered.set_result(answer), sender
        )
        return answered

    async def ask(self, sender: str = "a@b.example", point: Point = "dispose") -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.begin(sender, point)

    async def faults(self, *senders: str) -> Sequence[tuple[str, int]]:
        """Kind and line of what became of calls that are made together; empty and 0 for an answer."""
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(self.begin(sender) for sender in senders))
        return [(one.kind, one.line) if isinstance(one, Fault) else ("", 0) for one in answers]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def asking(source: str, **limits: Any) -> AsyncIterator[Asking]:
    metrics = Metrics()
    client = PolicyClient(settings(source, **limits), metrics)
    try:
        yield Asking(client, metrics)
    finally:
        await client.close(1.0)


async def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not what():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
