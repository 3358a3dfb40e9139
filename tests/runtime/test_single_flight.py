from __future__ import annotations

import asyncio

import pytest

from tubepost_runtime.single_flight import SingleFlight
from tubepost_runtime.tasks import TaskSet


class Work:
    def __init__(self) -> None:
        self.runs = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return run


async def test_callers_of_one_key_share_a_result() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    one, other = Work(), Work()
    calls = [asyncio.create_task(flight.do("one", one)) for _ in range(3)]
    calls.append(asyncio.create_task(flight.do("other", other)))
    await asyncio.sleep(0)
    one.go.set()
    other.go.set()
    assert await asyncio.gather(*calls) == [1, 1, 1, 1]
    assert (one.runs, other.runs) == (1, 1)
    assert await flight.do("one", one) == 2


async def test_a_caller_that_gives_up_takes_nothing_from_the_others() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    first, second = (asyncio.create_task(flight.do("", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    work.go.set()
    assert await second == 1
    assert first.cancelled()


async def test_an_error_is_every_callers_and_the_next_one_tries_again() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    work.error = OSError("no")
    calls = [asyncio.create_task(flight.do("", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.go.set()
    for call in calls:
        with pytest.raises(OSError, match="no"):
            await call
    work.error = None
    assert await flight.do("", work) == 2


async def test_what_is_forgotten_is_done_anew_for_those_who_come_later() -> None:
    flight: SingleFlight[str, int] = SingleFlight()
    work = Work()
    early = asyncio.create_task(flight.do("", work))
    await asyncio.sleep(0)
    flight.forget("")
    late = [asyncio.create_task(flight.do("", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.go.set()
    assert await early == 1
    assert await asyncio.gather(*late) == [2, 2]
    flight.forget("nobody asked for it")


async def test_its_tasks_can_be_cancelled_from_outside() -> None:
    tasks = TaskSet()
    flight: SingleFlight[str, int] = SingleFlight(tasks)
    call = asyncio.create_task(flight.do("", Work()))
    await asyncio.sleep(0)
    await tasks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
