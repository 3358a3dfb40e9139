"""What the modes of acceptance have together: counts, log, relay, clocks, the reader of large messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tubepost_dispatcher.acceptance.accounting import Accounting
from tubepost_dispatcher.acceptance.relay import MailRelay
from tubepost_dispatcher.feeds.delivery_log import DeliveryLog
from tubepost_dispatcher.intake.apns_ids import apns_ids
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification


class AcceptanceContext:
    """Outlives changes of the mode: a message that began in one mode ends in it.

    Args:
        log: for messages that are refused before they are notifications.
        metrics: where to count.
        discarded: told what delivery mode Blackhole discards.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    def __init__(
        self,
        log: DeliveryLog,
        metrics: Metrics,
        discarded: Callable[[Notification], None] = lambda _: None,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.log = log
        self.metrics = metrics
        self._discarded = discarded
        self.loop = loop or asyncio.get_running_loop()
        self.clock = clock
        self.wall = wall
        self.accounting = Accounting(metrics)
        self.relay = MailRelay(metrics)
        self.next_id = apns_ids()
        # One thread: large messages are read one after the other.
        self.reader = ThreadPoolExecutor(1, "intake")
        self.readers_id = apns_ids()

    def discard(self, notification: Notification) -> None:
        """Delivery mode Blackhole: it is counted, and not delivered."""
        self.metrics.blackholed.inc()
        self._discarded(notification)

    @property
    def open(self) -> int:
        """Messages between the end of DATA and the reply."""
        return self.accounting.open

    async def close(self, grace: float) -> None:
        """Wait for hand-overs to the relay that are under way, at most `grace` seconds."""
        await self.relay.close(grace)
        self.reader.shutdown(wait=False, cancel_futures=True)
