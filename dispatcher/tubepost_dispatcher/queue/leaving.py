"""What is left in a queue whose volume goes with its pod: nobody delivers it, and its senders are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from tubepost_dispatcher.follow_up import is_mail
from tubepost_dispatcher.queue.asking import taken, told
from tubepost_dispatcher.queue.groups import RELAY
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import Failure, Filter, Page

AT_ONCE: Final = 100
"""Notifications that are ended together, before their reports are sent."""
LOOK: Final = 0.05
"""Seconds between two looks whether reports were sent."""
IDLE: Final = 3
"""Looks that find nothing any more before others are ended."""
_EVERYTHING: Final = Filter()
_MAILS: Final = Filter(route=RELAY, held=False)


async def report_rest(
    queue: Queue, in_time: Callable[[], bool], wall: Callable[[], float] = time.time
) -> int:
    """End what is left and is to be reported, and send the reports; whatever else is left stays as it is.

    Args:
        queue: delivers nothing more for now.
        in_time: whether there is time for more, and a relay that takes it.
        wall: unix seconds.

    Returns:
        How many notifications were ended.
    """
    ended = 0
    for slot in list(queue.slots.values()):
        after: int | None = None
        while in_time():
            page = await told(slot.store.page, _EVERYTHING, after, AT_ONCE)
            if not isinstance(page, Page):
                break
            ended += await _end(queue, slot, page)
            # What was asked is durable now; the mails are read back and sent.
            await told(slot.store.take, ())
            queue.feed_soon()
            idle = 0
            while in_time() and idle < IDLE:
                # A policy may have its say before an end.
                idle = 0 if await _mails_left(slot, wall()) else idle + 1
                await asyncio.sleep(LOOK)
            after = page.following
            if after is None:
                break
    return ended


async def _end(queue: Queue, slot: Slot, page: Page) -> int:
    keys = [one.key for one in page.kept if not is_mail(one.entry.body)]
    queue.recall(slot, keys)
    found = await taken(slot, keys)
    if isinstance(found, Failure):
        return 0
    return sum(queue.endings.give_up(slot, one) for one in found)


async def _mails_left(slot: Slot, now: float) -> bool:
    """Whether mails are on their way, or about to be."""
    if slot.mailing:
        return True
    page = await told(slot.store.page, _MAILS, None, AT_ONCE)
    return isinstance(page, Page) and any(one.entry.due <= now for one in page.kept)
