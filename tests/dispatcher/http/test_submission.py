from __future__ import annotations

import asyncio
from itertools import pairwise

from tests.dispatcher.http.support import DELIVERED, QUEUED, Acceptor, Client, notification, site
from tubepost_dispatcher.http.submission import SLICE
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Transaction


async def test_notifications_of_a_batch_fare_each_on_its_own_and_are_answered_in_order() -> None:
    acceptance = Acceptor(None)
    async with site(acceptance) as found, await Client.open(found.port) as client:
        batch = [notification(), notification(domain="unknown.example"), {}, notification()]
        client.post({"notifications": batch})
        async with asyncio.timeout(10):
            while len(acceptance.accepted) < 2:
                acceptance.came.clear()
                await acceptance.came.wait()
        acceptance.accepted[1].reply(QUEUED)
        acceptance.accepted[0].reply(refusal("QueueFull"))
        status, document = await client.json()
        assert status == 207
        shown = [(one["status"], one.get("outcome") or one["reason"]) for one in document["notifications"]]
        assert shown == [(503, "QueueFull"), (422, "UnknownDomain"), (422, "PayloadEmpty"), (202, "queued")]


async def test_a_batch_of_one_kind_has_its_status() -> None:
    async with site(Acceptor(QUEUED)) as found, await Client.open(found.port) as client:
        client.post({"notifications": [notification()] * 3})
        status, document = await client.json()
        assert (status, len(document["notifications"])) == (202, 3)
        assert len({one["id"] for one in document["notifications"]}) == 3


async def test_a_large_batch_leaves_the_loop_between_slices() -> None:
    turns: list[int] = []
    count = 0

    def answer(transaction: Transaction[str]) -> Reply:
        nonlocal count
        count += 1
        return DELIVERED

    async with site(Acceptor(answer)) as found, await Client.open(found.port) as client:
        client.post({"notifications": [notification()] * (3 * SLICE)})
        waiting = asyncio.create_task(client.json())
        while not waiting.done():
            turns.append(count)
            await asyncio.sleep(0)
        assert (await waiting)[0] == 200
    steps = [after - before for before, after in pairwise(turns)]
    assert 0 < max(steps) <= SLICE


async def test_nothing_more_is_begun_for_a_client_that_has_gone() -> None:
    acceptance = Acceptor(None)
    async with site(acceptance) as found:
        async with await Client.open(found.port) as client:
            client.post({"notifications": [notification()] * 5})
            async with asyncio.timeout(10):
                await acceptance.came.wait()
        async with asyncio.timeout(10):
            while not acceptance.accepted[0].abandoned:  # noqa: ASYNC110 - the listener tells nobody else
                await asyncio.sleep(0)
        assert all(one.abandoned for one in acceptance.accepted)
