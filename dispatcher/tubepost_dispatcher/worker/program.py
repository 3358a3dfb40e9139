"""What a worker process runs, however it came to be: started as a program, or forked."""

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

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The supervisor gets these too, and decides."""


async def _serve(channel: int, descriptors: int, limits: PodLimits | None) -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, lambda: None)
    await WorkerProcess(limits).main(channel, descriptors)


def serve(channel: int, descriptors: int, memory: int | None = None) -> None:
    """Run a worker to its end.

    Args:
        channel: file descriptor of the channel to the supervisor.
        descriptors: that of the line on which listening sockets come.
        memory: that of the memory that the pod's workers share for its limits; without, it is taken for the
            only worker.
    """
    # What was imported lives for ever, and a message leaves no cycles behind: look for garbage rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    # While a large message is read in a thread, the event loop waits this long for its turn, in seconds.
    sys.setswitchinterval(0.0005)
    limits = SharedLimits(Memory(memory)) if memory is not None else None
    run(_serve(channel, descriptors, limits))
