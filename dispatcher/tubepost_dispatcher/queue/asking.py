"""Questions to a store whose answers are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import Failure, Kept


async def taken(slot: Slot, keys: Sequence[int]) -> Sequence[Kept] | Failure:
    """Take entries; they are given back when whoever asked has gone meanwhile."""
    answer: asyncio.Future[Sequence[Kept] | Failure] = asyncio.get_running_loop().create_future()

    def heard(found: Sequence[Kept] | Failure) -> None:
        if not answer.done():
            answer.set_result(found)
        elif not isinstance(found, Failure):
            slot.store.release([one.key for one in found])

    slot.store.take(keys, heard)
    return await answer


async def told(ask: Callable[..., None], *values: Any) -> Any:
    """Call a method of a store; what it calls back with."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def heard(found: Any) -> None:
        if not answer.done():
            answer.set_result(found)

    ask(*values, heard)
    return await answer
