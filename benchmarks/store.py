"""`python -m benchmarks.store`: what the queue on disk costs, and the one on JetStream.

CPU of a notification that is put and ends, at several sizes of a group that is put in one turn of the loop;
and with many notifications queued: opening, memory, reading what is due, a page, a tally. In a temporary
directory, which takes about 1 GB for a million. JetStream is one nats-server on this machine that syncs each
write, as the disk does; its CPU is told beside ours.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.peers import tools
from tests.peers.nats_server import NatsServer
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.jetstream.store import JetStreamStore
from tubepost_dispatcher.store.port import Entry, Filter, Store, entry

GROUPS = (1, 10, 50, 200)
PAYLOAD = b'{"aps":{"alert":{"title":"Title","body":"' + b"x" * 130 + b'"},"sound":"default"}}'


def main() -> int:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each size of a group (3)")
    parser.add_argument("--queued", type=int, default=1_000_000, help="notifications queued (1000000)")
    parser.add_argument("--directory", type=Path, help="parent of the temporary directory")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        asyncio.run(_opened(options.open))
        return 0
    with tempfile.TemporaryDirectory(prefix="tubepost-store-", dir=options.directory) as scratch:
        stored = len(_entry(1).body)
        print(f"put and ended, {stored} bytes each:")
        for group in GROUPS:
            asyncio.run(_disk(Path(scratch) / f"g{group}", group, options.seconds))
        try:
            tools.find("nats-server")
        except tools.MissingToolError as error:
            print(f"JetStream is left out: {error}")
        else:
            with NatsServer(Path(scratch) / "nats", "n1", sync_interval="always") as server:
                print("put and ended on JetStream:")
                for group in GROUPS:
                    asyncio.run(_jetstream(server, group, options.seconds))
        asyncio.run(_fill(Path(scratch) / "many", options.queued))
        # In a process of its own, for its memory.
        subprocess.run(
            [sys.executable, "-m", "benchmarks.store", "--open", str(Path(scratch) / "many")], check=True
        )
    return 0


async def _told(ask: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
    answer = asyncio.get_running_loop().create_future()
    ask(*args, answer.set_result, **kwargs)
    return await answer


async def _close(store: Store) -> None:
    over = asyncio.Event()
    store.close(over.set)
    await over.wait()


async def _disk(path: Path, group: int, seconds: float) -> None:
    await _groups(DiskStore(path), group, seconds)


async def _jetstream(server: NatsServer, group: int, seconds: float) -> None:
    settings = JetStreamSettings((server.url,), f"BENCH{group}", f"bench.q{group}", replicas=1)
    before = server.cpu
    done = await _groups(JetStreamStore(settings), group, seconds)
    print(f"       the server: {(server.cpu - before) / done * 1e6:6.1f} us of CPU each")


async def _groups(store: Store, group: int, seconds: float) -> int:
    failure = await _told(store.start)
    if failure is not None:
        raise SystemExit(failure.text)
    entries = [_entry(number) for number in range(group)]
    loop = asyncio.get_running_loop()
    done = 0
    begun, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        answered = loop.create_future()
        left = group

        def stored(keys: Any) -> None:
            nonlocal left
            store.ended(keys[0])
            left -= 1
            if not left:
                answered.set_result(None)  # noqa: B023 - awaited before the next round

        for one in entries:
            store.put([one], stored)
        await answered
        done += group
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    commits = store.figures.commits
    print(
        f"  {group:4} at a time: {cpu / done * 1e6:6.1f} us of CPU each, {done / took:8,.0f}/s,"
        f" {done / commits:6.1f} a commit, {store.figures.commit_seconds / commits * 1e3:5.2f} ms a commit"
    )
    await _close(store)
    return done


async def _fill(path: Path, number: int) -> None:
    store = DiskStore(path)
    await _told(store.start)
    begun = time.perf_counter()
    for first in range(0, number, 2_000):
        batch = [_entry(each) for each in range(first, min(first + 2_000, number))]
        await _told(store.put, batch, take=False)
    print(
        f"{number:,} put, not taken: {time.perf_counter() - begun:.1f} s, {store.figures.size / 1e6:,.0f} MB"
    )
    await _close(store)


async def _opened(path: Path) -> None:
    before = _resident()
    store = DiskStore(path)

    async def timed(what: str, ask: Callable[..., None], *args: Any) -> Any:
        begun = time.perf_counter()
        answer = await _told(ask, *args)
        print(f"  {what}: {(time.perf_counter() - begun) * 1e3:,.1f} ms")
        return answer

    await timed("opened", store.start)
    await timed("first 1,000 due", store.due, 4e9, 1_000)
    begun = time.perf_counter()
    for _ in range(10):
        await _told(store.due, 4e9, 1_000)
    print(f"  then {10_000 / (time.perf_counter() - begun):,.0f}/s due, taken 1,000 at a time")
    await timed("next due", store.next_due)
    await timed("page of 100", store.page, Filter(), None, 100)
    begun, after, pages = time.perf_counter(), None, 0
    while True:
        page = await _told(store.page, Filter(message_ids=("nowhere",)), after, 100)
        pages, after = pages + 1, page.following
        if after is None:
            break
    print(f"  search through everything: {time.perf_counter() - begun:.2f} s in {pages} steps")
    begun, after, steps = time.perf_counter(), None, 0
    while True:
        tally = await _told(store.tally, Filter(), 4e9, after)
        steps, after = steps + 1, tally.following
        if after is None:
            break
    print(f"  tally of everything: {time.perf_counter() - begun:.2f} s in {steps} steps")
    await timed("lanes", store.lanes, None, 1_000)
    print(f"  memory grew by {(_resident() - before) / 1e6:,.1f} MB")
    await _close(store)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _entry(number: int) -> Entry:
    notification = Notification(
        PushPart(b"ab" * 32, PAYLOAD, topic=b"com.example.app", push_type=b"alert", priority=10),
        b"00000000-0000-4000-8000-%012d" % number,
        f"{number:025x}",
        "alerts@sender.example",
        f"subscriber{number}@apn{number % 10}.example.com",
        f"apn{number % 10}.example.com",
        size=1_200,
        accepted_at=1_800_000_000.0 + number / 1e3,
    )
    return entry(notification, due=1_800_000_000.0 + number / 1e3, expires=2e9)


if __name__ == "__main__":
    sys.exit(main())
