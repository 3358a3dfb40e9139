"""The program that a supervisor starts as a worker.

Arguments: two file descriptors, the channel and the line on which listening sockets come.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from tubepost_dispatcher.loop import run
from tubepost_dispatcher.worker.process import WorkerProcess


async def _serve(channel: int, descriptors: int) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # The supervisor gets these too, and decides.
        loop.add_signal_handler(number, lambda: None)
    await WorkerProcess().main(channel, descriptors)


def main() -> None:
    """Run a worker."""
    # What was imported lives for ever, and a message leaves no cycles behind: look for garbage rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    # While a large message is read in a thread, the event loop waits this long for its turn, in seconds.
    sys.setswitchinterval(0.0005)
    run(_serve(int(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
