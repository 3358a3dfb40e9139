"""The entry point of a worker process; started by the supervisor only.

Arguments: two file descriptors, the channel and the line on which listening sockets come. A worker whose
supervisor has gone drains and ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Any

from tubepost_dispatcher.channel import Channel, Message, unpack_bundle
from tubepost_dispatcher.config.bundle import prepare
from tubepost_dispatcher.loop import run
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.totals import take_snapshot
from tubepost_dispatcher.worker.worker import Worker
from tubepost_runtime import process_log

_LOG = logging.getLogger("tubepost.worker")

SNAPSHOT_INTERVAL = 1.0
ORPHAN_GRACE = 20.0
LAST_WORDS = 2.0
"""Seconds that the last message to the supervisor may take."""
MAX_OPEN_MESSAGES = 20_000
"""Messages between DATA and reply beyond which new sessions are refused."""


class WorkerProcess:
    """Obeys the supervisor's messages."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self._worker: Worker | None = None
        self._channel: Channel | None = None
        self._ended = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._last: Any = None
        self._memory_limit = 0
        self._fd_line: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ready = False
        self._closed = asyncio.Event()

    async def main(self, fd: int, fd_line: int) -> None:
        """Serve until told to end, or until the supervisor has gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # The supervisor gets these too, and decides.
            loop.add_signal_handler(number, lambda: None)
        self._fd_line = socket.socket(fileno=fd_line)
        line = socket.socket(fileno=fd)
        line.setblocking(False)
        self._channel = channel = Channel(self._on_message, self._on_orphaned)
        await loop.create_unix_connection(lambda: channel, sock=line)
        self._tick()
        await self._ended.wait()
        self._fd_line.close()

    def _on_message(self, message: Message) -> None:
        handler = getattr(self, f"_op_{message['op']}")
        handler(message)

    def _op_start(self, message: Message) -> None:
        process_log.setup(message["logLevel"], message["logFormat"])
        self._memory_limit = message["memoryLimit"]
        prepared, _ = prepare(unpack_bundle(message))
        self._worker = Worker(prepared, self._metrics, index=message["index"], count=message["count"])

    def _op_sockets(self, message: Message) -> None:
        assert self._fd_line is not None
        _, fds, _, _ = socket.recv_fds(self._fd_line, 1, message["count"] + 1)
        sockets = [socket.socket(fileno=fd) for fd in fds]
        if self._draining is not None:
            _close(sockets)
            return
        previous = self._serving
        self._serving = asyncio.get_running_loop().create_task(self._serve(sockets, previous))

    async def _serve(self, sockets: list[socket.socket], previous: asyncio.Task[None] | None) -> None:
        assert self._worker is not None
        assert self._channel is not None
        try:
            if previous is not None:
                await previous
            if self._draining is not None:
                return
            await self._worker.serve(sockets)
        except OSError:
            # Connections would wait for ever on a socket that nobody accepts on: a successor shall.
            _LOG.exception("the listening sockets cannot be served: draining")
            self._drain_once(ORPHAN_GRACE)
            return
        finally:
            _close(sockets)  # the listener has duplicates
        if not self._ready:
            self._ready = True
            self._channel.send("ready", pid=os.getpid())

    def _op_config(self, message: Message) -> None:
        assert self._worker is not None
        assert self._channel is not None
        process_log.set_level(message["logLevel"])
        self._memory_limit = message["memoryLimit"]
        prepared, problems = prepare(unpack_bundle(message))
        # The supervisor has checked it already; what differs here is a fault, and is said.
        if problems and not message.get("lenient"):
            self._channel.send("refused", digest=prepared.digest, problems=[str(p) for p in problems])
            return
        try:
            self._worker.apply(prepared, message["count"])
        except Exception as error:  # noqa: BLE001 - the supervisor must get an answer
            _LOG.exception("the configuration %s could not be applied", prepared.digest)
            self._channel.send("refused", digest=prepared.digest, problems=[repr(error)])
            return
        self._channel.send("applied", digest=prepared.digest)

    def _op_hold(self, message: Message) -> None:
        if self._worker is not None:
            self._worker.adopt_hold(
                message["route"],
                message["credential"],
                message["reason"],
                message["detail"],
                message["seconds"],
            )

    def _op_snapshot(self, message: Message) -> None:
        assert self._channel is not None
        status = self._worker.status() if self._worker else None
        self._channel.send(
            "snapshot",
            request=message["request"],
            metrics=take_snapshot(self._metrics.registry),
            status=status,
        )

    def _op_reopen(self, message: Message) -> None:
        del message
        if self._worker is not None:
            self._worker.reopen_logs()

    def _op_drain(self, message: Message) -> None:
        self._drain_once(message["grace"])

    def _drain_once(self, grace: float) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain(grace))

    async def _drain(self, grace: float) -> None:
        assert self._channel is not None
        cut = 0
        try:
            if self._serving is not None:
                await asyncio.wait({self._serving}, timeout=1.0)
            if self._worker is not None:
                cut = await self._worker.drain(grace)
        finally:
            self._channel.send("drained", cut=cut, metrics=take_snapshot(self._metrics.registry))
            self._channel.close()
            # The last counts must be on their way before the process ends.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._closed.wait()
            self._ended.set()

    def _on_orphaned(self) -> None:
        self._closed.set()
        if self._draining is None:
            _LOG.warning("the supervisor has gone: draining")
            self._drain_once(ORPHAN_GRACE)

    def _tick(self) -> None:
        """Once a second: metrics to the supervisor when they changed, and the look at one's own size."""
        if self._ended.is_set():
            return
        asyncio.get_running_loop().call_later(SNAPSHOT_INTERVAL, self._tick)
        worker, channel = self._worker, self._channel
        if worker is None or channel is None:
            return
        for route, credential, reason, detail, seconds in worker.changed_holds():
            channel.send(
                "hold", route=route, credential=credential, reason=reason, detail=detail, seconds=seconds
            )
        snapshot = take_snapshot(self._metrics.registry)
        if snapshot != self._last:
            self._last = snapshot
            channel.send("snapshot", request=0, metrics=snapshot, status=None)
        else:
            channel.send("alive")
        too_big = bool(self._memory_limit) and resident_bytes() > self._memory_limit
        worker.set_overloaded(too_big or worker.acceptance.open > MAX_OPEN_MESSAGES)


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def resident_bytes() -> int:
    """The process's resident memory in bytes (Linux; elsewhere its peak)."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - once a second, a plain read
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run a worker; the arguments are the two descriptors."""
    # What was imported lives for ever, and a message leaves no cycles behind: look for garbage rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    run(WorkerProcess().main(int(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
