"""The program that a supervisor starts as a worker.

Arguments: file descriptors, of the channel, of the line on which listening sockets come, and of the memory
that the pod's workers share for its limits; without the last it is taken for the only worker.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from tubepost_dispatcher.loop import run
from tubepost_dispatcher.pod_limits.interface import PodLimits
from tubepost_dispatcher.pod_limits.memory import Memory
from tubepost_dispatcher.pod_limits.shared import SharedLimits
from tubepost_dispatcher.worker.process import WorkerProcess


async def _serve(channel: int, descriptors: int, limits: PodLimits | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # The supervisor gets these too, and decides.
        loop.add_signal_handler(number, lambda: None)
    await WorkerProcess(limits).main(channel, descriptors)


def main() -> None:
    """Run a worker."""
    # What was imported lives for ever, and a message leaves no cycles behind: look for garbage rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    # While a large message is read in a thread, the event loop waits this long for its turn, in seconds.
    sys.setswitchinterval(0.0005)
    channel, descriptors, *memory = map(int, sys.argv[1:])
    limits = SharedLimits(Memory(memory[0])) if memory else None
    run(_serve(channel, descriptors, limits))


if __name__ == "__main__":
    main()
