"""Work that is done once for all who ask for it meanwhile."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from tubepost_runtime.tasks import TaskSet

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class SingleFlight(Generic[K, T]):
    """Does a piece of work at most once at a time; callers that come meanwhile share its result.

    Args:
        tasks: where the work's tasks are remembered, for those who want to cancel them.
    """

    def __init__(self, tasks: TaskSet | None = None) -> None:
        self._tasks = TaskSet() if tasks is None else tasks
        self._running: dict[K, asyncio.Task[T]] = {}

    async def do(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, or of the work of the same key that is under way.

        A caller that is cancelled does not take the result away from the others.

        Raises:
            Exception: what `work` raises, for every caller that shares it.
        """
        task = self._running.get(key)
        if task is None or task.done():
            task = self._running[key] = self._tasks.spawn(work())
            task.add_done_callback(functools.partial(self._ended, key))
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Have callers from now on start work of their own: what is under way has read its input already."""
        self._running.pop(key, None)

    def _ended(self, key: K, task: asyncio.Task[T]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # all callers may have given up, and then nobody has asked for it
