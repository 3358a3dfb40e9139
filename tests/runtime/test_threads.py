from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from tubepost_runtime.threads import in_thread


async def test_a_result_and_an_exception_come_back() -> None:
    assert await in_thread(lambda: threading.current_thread().name, "reader") == "reader"
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_what_nobody_awaits_any_more_is_dropped() -> None:
    go, gone = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(10.0)
        gone.set()

    future = in_thread(work)
    future.cancel()
    go.set()
    async with asyncio.timeout(10.0):
        while not gone.is_set():  # noqa: ASYNC110 - it is set by a thread
            await asyncio.sleep(0.001)
    assert future.cancelled()


def test_a_thread_that_hangs_keeps_no_process_from_ending() -> None:
    code = (
        "import asyncio, time\n"
        "from tubepost_runtime.threads import in_thread\n"
        "async def main():\n"
        "    in_thread(lambda: time.sleep(3600))\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
