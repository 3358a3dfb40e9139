"""A process that writes to a store, and says on standard output what was acknowledged: for tests to kill."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.dispatcher.store.support import an_entry, told
from tubepost_dispatcher.store.disk import DiskStore


async def main(path: Path, most: int) -> None:
    store = DiskStore(path, reserve=0)
    assert await told(store.start) is None
    number = 0

    async def one_after_the_other(client: int) -> None:
        nonlocal number
        while number < most:
            number += 1
            (key,) = await told(store.put, [an_entry(number)])
            os.write(1, b"put %d\n" % key)
            if number % 3 == client % 3:
                os.write(1, b"end %d\n" % key)
                store.ended(key)

    clients = 1 if most < sys.maxsize else 20
    await asyncio.gather(*(one_after_the_other(client) for client in range(clients)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else sys.maxsize))
