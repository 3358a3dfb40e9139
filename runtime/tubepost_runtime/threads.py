"""Blocking work off the event loop, in threads that keep no process from ending."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[[], T], name: str = "work") -> asyncio.Future[T]:
    """Run `work` in a daemon thread of its own.

    Unlike `asyncio.to_thread`, whose threads are waited for when the event loop closes: what reads a volume
    that hangs may never come back, and SIGTERM must end the process all the same. A thread that nobody awaits
    any more goes on to its end; its result is dropped.

    Args:
        work: may block; an exception is the future's.
        name: of the thread.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def done(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    def run() -> None:
        try:
            result, error = work(), None
        except Exception as raised:  # noqa: BLE001 - it is the caller's, by way of the future
            result, error = None, raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(done, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
