from __future__ import annotations

import asyncio
import gc

import pytest

from tubepost_runtime.tasks import TaskSet


async def test_a_task_is_remembered_until_it_has_ended() -> None:
    tasks = TaskSet()
    go = asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    task = tasks.spawn(work())
    await asyncio.sleep(0)
    gc.collect()
    assert len(tasks) == 1
    go.set()
    assert await task == "done"
    assert len(tasks) == 0


async def test_all_are_cancelled_and_have_ended() -> None:
    tasks = TaskSet()
    ended = []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    for number in range(3):
        tasks.spawn(work(number))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await tasks.cancel()
    assert sorted(ended) == [0, 1, 2]
    assert len(tasks) == 0
    await tasks.cancel()


async def test_those_that_take_too_long_are_cancelled() -> None:
    tasks = TaskSet()

    async def quick() -> str:
        return "done"

    async def slow() -> None:
        await asyncio.Event().wait()

    assert await tasks.join(1.0) == 0
    first, second = tasks.spawn(quick()), tasks.spawn(slow())
    assert await tasks.join(0.01) == 1
    assert first.result() == "done"
    with pytest.raises(asyncio.CancelledError):
        await second
