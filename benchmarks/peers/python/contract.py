"""What every sender in Python shares: the flags, the payload, and the end. The standard library alone."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

PAYLOAD = b"""{
  "aps" : {
    "alert" : "You have mail",
    "badge" : 9,
    "sound" : "dingdong.aiff"
   },
   "app-key" : "bar"
}"""
DEVICES = [f"{number:064x}" for number in range(997)]


def flags() -> argparse.Namespace:
    """The flags of a sender: where the sink is, what it trusts, how it signs, requests in flight."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--key-id", required=True)
    parser.add_argument("--team-id", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--payload", help="a file; senders in Python have it in PAYLOAD")
    return parser.parse_args()


async def closed() -> None:
    """Return when standard input has ended."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


def tell(total: int) -> None:
    """Print the result."""
    print(json.dumps({"total": total}))


async def send_all(in_flight: int, send: Callable[[str], Awaitable[object]]) -> int:
    """Call `send` with one device after the other, so many at a time, until standard input ends.

    Returns how many returned; what one raises is raised.
    """
    total = 0
    stopping = False
    devices = itertools.cycle(DEVICES)

    async def work() -> None:
        nonlocal total
        while not stopping:
            await send(next(devices))
            total += 1

    async def until_closed() -> None:
        nonlocal stopping
        await closed()
        stopping = True

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
        group.create_task(until_closed())
    return total
