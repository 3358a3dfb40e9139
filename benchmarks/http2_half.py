"""The HTTP/2 half alone: requests as fast as the sink answers them, by our pool and by one httpx client.

Each sender is a process of its own that measures itself: `python -m benchmarks.http2_half SENDER ...`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import resource
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop

from benchmarks.fixtures import KEY_ID, TEAM_ID, TOPIC, Fixtures
from benchmarks.load import LoadError
from benchmarks.naive import ProviderToken
from benchmarks.whole_path import Bounds, Result
from tests.peers.servers import GoPeer
from tubepost_api.config import RouteConfig
from tubepost_credentials.token import load_token
from tubepost_dispatcher.apns.pool import Pool, PoolOptions
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

PAYLOAD = b"""{
  "aps" : {
    "alert" : "You have mail",
    "badge" : 9,
    "sound" : "dingdong.aiff"
   },
   "app-key" : "bar"
}"""
_DEVICES = [f"{number:064x}" for number in range(997)]


@dataclass(frozen=True)
class Sender:
    """A sender: the program it stands for, its requests in flight, the function that sends."""

    program: str
    in_flight: int
    send: Callable[[argparse.Namespace, Progress], Coroutine[Any, Any, None]]


class Progress:
    """Counts answers, and says when to stop."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.done = 0
        self.stopping = False
        self.first = self.last = (0, 0.0, 0.0)

    def now(self) -> tuple[int, float, float]:
        """Answers, seconds of the clock, and of CPU."""
        return self.done, time.perf_counter(), time.process_time()

    async def watch(self) -> None:
        """Note the figures at both ends of the window."""
        await asyncio.sleep(self._bounds.warmup)
        self.first = self.now()
        await self._bounds.window(lambda: self.done - self.first[0])
        self.last = self.now()
        self.stopping = True


async def send_by_pool(options: argparse.Namespace, progress: Progress) -> None:
    """Our pool; each outcome submits the next request."""
    credential = load_token(options.key.read_bytes(), KEY_ID.encode(), TEAM_ID.encode())
    route = RouteConfig(name="sink", environment=None, host="localhost", port=options.port)
    pool = Pool(route, credential, options.ca.read_bytes(), None, PoolOptions(), Metrics())
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    devices = itertools.cycle([device.encode() for device in _DEVICES])
    waiting = options.in_flight

    def submit() -> None:
        pool.submit(
            ApnsRequest(
                token=next(devices),
                payload=PAYLOAD,
                apns_id=str(uuid.uuid4()).encode(),
                topic=TOPIC.encode(),
                push_type=b"alert",
                priority=10,
                expiration=0,
                collapse_id=b"",
                response_timeout=5.0,
                give_up_at=math.inf,
                on_outcome=answered,
                owner=None,
            )
        )

    def answered(_request: ApnsRequest[object], outcome: Outcome) -> None:
        nonlocal waiting
        if outcome.kind is not OutcomeKind.DELIVERED:
            if not finished.done():
                finished.set_exception(LoadError(f"{outcome}"))
            return
        progress.done += 1
        if not progress.stopping:
            submit()
            return
        waiting -= 1
        if waiting == 0 and not finished.done():
            finished.set_result(None)

    for _ in range(options.in_flight):
        submit()
    watch = asyncio.ensure_future(progress.watch())
    await finished
    await watch
    await pool.close(5.0)


async def send_by_httpx(options: argparse.Namespace, progress: Progress) -> None:
    """One httpx client, shared by as many tasks as there are requests in flight."""
    token = ProviderToken(options.key.read_bytes(), KEY_ID, TEAM_ID)
    context = ssl.create_default_context(cafile=str(options.ca))
    devices = itertools.cycle(_DEVICES)

    async def work(client: httpx.AsyncClient) -> None:
        while not progress.stopping:
            headers = {
                "authorization": token.header(),
                "apns-topic": TOPIC,
                "apns-push-type": "alert",
                "apns-priority": "10",
                "apns-id": str(uuid.uuid4()),
            }
            answer = await client.post(f"/3/device/{next(devices)}", content=PAYLOAD, headers=headers)
            if answer.status_code != 200:
                raise LoadError(answer.text)
            progress.done += 1

    base = f"https://localhost:{options.port}"
    async with httpx.AsyncClient(
        http2=True, verify=context, base_url=base, timeout=30.0, trust_env=False
    ) as client:
        await asyncio.gather(progress.watch(), *(work(client) for _ in range(options.in_flight)))


SENDERS = {
    "httpx": Sender("naive", 200, send_by_httpx),
    "tubepost's pool": Sender("tubepost", 1_000, send_by_pool),
}


def run(name: str, fixtures: Fixtures, bounds: Bounds) -> Result:
    """Start a sink and the sender, and return what the sender measured.

    Raises:
        LoadError: a request failed, or was lost or sent twice.
    """
    with GoPeer("sink", fixtures.certificate, fixtures.key) as sink:
        command = [
            *(sys.executable, "-m", "benchmarks.http2_half", name),
            *("--port", str(sink.port), "--ca", str(fixtures.ca), "--key", str(fixtures.token_key)),
            *("--in-flight", str(SENDERS[name].in_flight), "--warmup", str(bounds.warmup)),
            *("--seconds", str(bounds.seconds), "--messages", str(bounds.messages)),
        ]
        limit = bounds.warmup + bounds.seconds + 60
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode:
            raise LoadError(f"{name}: {done.stderr[-3000:]}")
        told = json.loads(done.stdout)
        seen = sink.get("/stats")
    if seen["distinct"] != told["total"] or seen["duplicates"]:
        raise LoadError(f"{name}: {told['total']} requests were answered, the sink saw {seen['distinct']}")
    return Result(told["messages"], told["seconds"], told["cpu"], told["memory"])


def main() -> None:
    """Send, and print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sender", choices=SENDERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--messages", type=int, default=200_000)
    options = parser.parse_args()
    progress = Progress(Bounds(options.warmup, options.seconds, options.messages))
    uvloop.run(SENDERS[options.sender].send(options, progress))
    (first, start, cpu_before), (last, end, cpu_after) = progress.first, progress.last
    told = {
        "messages": last - first,
        "seconds": end - start,
        "cpu": cpu_after - cpu_before,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "total": progress.done,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
