"""`python -m benchmarks.stock_smtp PORT`: aiosmtpd as it comes, on uvloop, taking everything at once."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session


class Anything:
    """Takes every message."""

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 2.0.0 taken"


async def serve(port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    handler = Anything()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", port, backlog=1_024)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    logging.getLogger("mail").setLevel(logging.WARNING)
    uvloop.run(serve(int(sys.argv[1])))
