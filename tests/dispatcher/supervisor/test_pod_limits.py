"""Limits are the pod's: workers that are processes, and mail that the kernel spreads over them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.supervisor.conftest import eventually
from tests.dispatcher.supervisor.test_supervisor import Running, serving

pytestmark = pytest.mark.xdist_group("supervisor")


async def _have(running: Running, count: int, without: int = 0, **spec: object) -> None:
    """Put a configuration in force, and wait until there are so many workers, none of them `without`."""
    if spec:
        running.write(workers=count, **spec)

    async def there() -> bool:
        status: Any = await running.status()
        pids = [worker["pid"] for worker in status["workers"] if "pools" in worker]
        return len(pids) == count and without not in pids

    await eventually(there, 40.0)


async def _greetings(port: int, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]]:
    """Sessions that are opened all at once, each with what it was greeted by."""
    pairs = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    async with asyncio.timeout(30):
        lines = await asyncio.gather(*(reader.readline() for reader, _ in pairs))
    return [(*pair, line[:3]) for pair, line in zip(pairs, lines, strict=True)]


async def _goes_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        writer.write(b"NOOP\r\n")
        async with asyncio.timeout(20):
            return (await reader.readline())[:3] == b"250"
    except OSError:
        return False


async def test_sessions_of_a_client_are_counted_over_workers_and_over_their_deaths(tmp_path: Path) -> None:
    limits = {"maxConnectionsPerClient": 4}
    async with serving(tmp_path) as running:
        await _have(running, 2, listener={"limits": limits})
        port = running.supervisor.smtp_port
        sessions = await _greetings(port, 16)
        assert sorted(greeting for _, _, greeting in sessions) == [b"220"] * 4 + [b"421"] * 12
        victim = (await running.workers())[0]
        os.kill(victim, signal.SIGKILL)
        await _have(running, 2, without=victim)
        left = [await _goes_on(r, w) for r, w, greeting in sessions if greeting == b"220"].count(True)
        more = await _greetings(port, 16)
        assert [greeting for _, _, greeting in more].count(b"220") == 4 - left
        for _, writer, _ in sessions + more:
            writer.close()


async def test_a_stopped_worker_does_not_keep_the_other_from_the_pods_places(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        await _have(running, 2, listener={"limits": {"maxConnectionsPerClient": 4}})
        stopped = (await running.workers())[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            port = running.supervisor.smtp_port
            pairs = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(40)))
            reads = [asyncio.create_task(reader.readline()) for reader, _ in pairs]

            def greeted() -> int:
                return sum(task.done() and task.result()[:3] == b"220" for task in reads)

            await eventually(lambda: greeted() == 4, 10.0)
            assert not all(task.done() for task in reads)  # the others are the stopped one's
        finally:
            os.kill(stopped, signal.SIGCONT)
        async with asyncio.timeout(30):
            lines = await asyncio.gather(*reads)
        assert sorted(line[:3] for line in lines) == [b"220"] * 4 + [b"421"] * 36
        for _, writer in pairs:
            writer.close()


async def test_a_throttle_is_drawn_on_by_all_workers(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        await _have(running, 2, delivery={"throttle": "4/600"}, acceptance={"deadline": "5s"})
        answers = await asyncio.gather(*(running.send(f"number {number}") for number in range(8)))
        assert sorted(code for code, _ in answers) == [250] * 4 + [451] * 4
        # Another number of workers changes nothing, and what a killed one has sent stays sent.
        await _have(running, 3, delivery={"throttle": "4/600"}, acceptance={"deadline": "5s"})
        victim = (await running.workers())[0]
        os.kill(victim, signal.SIGKILL)
        await _have(running, 3, without=victim)
        assert (await running.send())[0] == 451
