"""Our pool by itself; each outcome submits the next request."""

from __future__ import annotations

import asyncio
import itertools
import math
import uuid

import uvloop

from benchmarks.peers.python.contract import DEVICES, PAYLOAD, closed, flags, tell
from tubepost_api.config import RouteConfig
from tubepost_credentials.token import load_token
from tubepost_dispatcher.apns.pool import Pool, PoolOptions
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind


async def main() -> None:
    """Send until told to stop."""
    options = flags()
    credential = load_token(options.key.read_bytes(), options.key_id.encode(), options.team_id.encode())
    route = RouteConfig(name="sink", environment=None, host="localhost", port=options.port)
    pool = Pool(route, credential, options.ca.read_bytes(), None, PoolOptions(), Metrics())
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    devices = itertools.cycle([device.encode() for device in DEVICES])
    topic = options.topic.encode()
    waiting = options.in_flight
    total = 0
    stopping = False

    def submit() -> None:
        pool.submit(
            ApnsRequest(
                token=next(devices),
                payload=PAYLOAD,
                apns_id=str(uuid.uuid4()).encode(),
                topic=topic,
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
        nonlocal waiting, total
        if outcome.kind is not OutcomeKind.DELIVERED:
            if not finished.done():
                finished.set_exception(RuntimeError(f"{outcome}"))
            return
        total += 1
        if not stopping:
            submit()
            return
        waiting -= 1
        if waiting == 0 and not finished.done():
            finished.set_result(None)

    for _ in range(options.in_flight):
        submit()
    end = asyncio.ensure_future(closed())
    await asyncio.wait((finished, end), return_when=asyncio.FIRST_COMPLETED)
    stopping = True
    await finished
    tell(total)
    await pool.close(5.0)


if __name__ == "__main__":
    uvloop.run(main())
