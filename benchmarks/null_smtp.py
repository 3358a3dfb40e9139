"""`python -m benchmarks.null_smtp PORT`: our SMTP listener before an acceptance that takes everything."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys

from tubepost_api.config import ListenerConfig
from tubepost_dispatcher.loop import run
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.server import SmtpServer
from tubepost_dispatcher.transaction import SessionFacts, Transaction

_TAKEN = Reply(250, "2.0.0", "taken")


class Anything:
    """Takes every message for every recipient."""

    def check_recipient(self, _session: SessionFacts, _domain: str, _recipients_so_far: int) -> str:
        return ""

    def accept(self, transaction: Transaction[str]) -> None:
        transaction.reply(_TAKEN)


async def serve(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = SmtpServer(ListenerConfig(hostname="bench.example"), Anything(), Metrics())
    with socket.create_server(("127.0.0.1", port), backlog=1_024) as listening:
        await server.start([listening])
        await stop.wait()
        await server.drain(5.0)


if __name__ == "__main__":
    # As a worker does.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    run(serve(int(sys.argv[1])))
