"""A logger's events on their way to a webhook: gathered into batches, sent one by one, kept meanwhile.

Nothing here raises into the delivery path or holds it up. What cannot be sent is kept within its bounds, and
tried again; beyond them the oldest events are dropped, counted and told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tubepost_api.config_logger import WebhookConfig
from tubepost_dispatcher.config.bundle import PreparedWebhook
from tubepost_dispatcher.feeds.webhook.answer import Answer, Verdict
from tubepost_dispatcher.feeds.webhook.buffer import Buffer
from tubepost_dispatcher.feeds.webhook.event import batch
from tubepost_dispatcher.feeds.webhook.outbox import Outbox
from tubepost_dispatcher.feeds.webhook.port import Client, Endpoint, origin_of
from tubepost_dispatcher.feeds.webhook.poster import Poster
from tubepost_dispatcher.metrics import Metrics
from tubepost_runtime.backoff import Backoff, Exponential
from tubepost_runtime.metrics import begin
from tubepost_runtime.words import counted

_LOG = logging.getLogger("tubepost.logger")

MOST_BODY: Final = 1024 * 1024
"""Bytes of events in one request; a single larger event is sent alone."""
RETRY_FIRST: Final = 0.5
"""Seconds before the second attempt; doubling up to maxRetryInterval, with some jitter."""
REFUSALS: Final = 3
"""Attempts at a batch that the receiver refuses (400, 422 and their like), before it is dropped."""
SYNC: Final = 0.1
"""Seconds that events wait for the outbox to be synced, where no commit of the queue does that before."""
LOOK: Final = 5.0
"""Seconds between two looks for what other processes left, and between updates of gauges at the latest."""
DROPPED: Final = ("full", "refused", "too_large", "closed")
"""Reasons for which events are given up, as labels of metrics."""
CLOSE_PATIENCE: Final = 2.0
"""Seconds that the outbox's disk has at the end."""


class WebhookSink:
    """Takes events as lines. Lives on one event loop, which must be running; every method is called on it.

    Args:
        name: the logger's.
        config: where to send to, and the bounds.
        prepared: what requests need; None: one of the Secrets cannot be used, and events are kept.
        metrics: where to count.
        outbox: keeps events on disk; None: they are lost with the process.
        loop: runs the sender; the running loop by default.
        wall: unix seconds.
        connect: makes a client, in a thread; `WebhookClient` by default.
    """

    def __init__(
        self,
        name: str,
        config: WebhookConfig,
        prepared: PreparedWebhook | None,
        metrics: Metrics,
        *,
        outbox: Outbox | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        wall: Callable[[], float] = time.time,
        connect: Callable[[Endpoint], Client] | None = None,
    ) -> None:
        self.name = name
        self.problem = ""
        """Why events cannot be sent at present, with the remedy; empty while they can."""
        self.outbox = outbox
        self._config = config
        self._loop = loop or asyncio.get_running_loop()
        self._poster = Poster(prepared, wall, connect)
        self._buffer = Buffer(config.max_events, config.max_size)
        self._limit = config.batch_size
        self._backoff = self._new_backoff()
        self._refusals = 0
        self._dropping = 0
        self._wake = asyncio.Event()
        """There is something to send, or nothing more is to come."""
        self._changed = asyncio.Event()
        """The configuration was changed, or the end is near: a pause is over."""
        self._closing = False
        self._closed = False
        self._syncing: asyncio.TimerHandle | None = None
        self._look_at = 0.0
        self._sent = metrics.webhook_sent.labels(name)
        self._batches = metrics.webhook_batches
        self._seconds = metrics.webhook_seconds.labels(name)
        self._dropped = metrics.webhook_dropped
        begin(self._dropped, [name], DROPPED)
        self._waiting = metrics.webhook_waiting
        self._oldest = metrics.webhook_oldest_age
        self._task = self._loop.create_task(self._run())

    @property
    def buffered(self) -> int:
        """Events that have not been taken yet."""
        return len(self._buffer)

    def write(self, line: bytes) -> None:
        """Take one event; it is sent as soon as a batch is full or has waited long enough."""
        if self._closed:
            self._count_dropped(1, "closed")
            return
        buffer = self._buffer
        dropped = buffer.add(line, self._loop.time())
        if self.outbox is not None:
            self.outbox.append(line)
            self.outbox.floor = buffer.floor
            if self._syncing is None:
                self._syncing = self._loop.call_later(SYNC, self._sync_soon)
        if dropped:
            self._overflowed(dropped)
        count = len(buffer)
        if count in {1, self._limit}:
            self._wake.set()

    def flush(self) -> bool:
        """Say whether nothing waits; sending takes its time."""
        return not self._buffer

    def reopen(self) -> None:
        """There is no file that could be opened again."""

    def adopt(self, config: WebhookConfig, prepared: PreparedWebhook | None) -> None:
        """Go on with another configuration, from the next request on."""
        if (config, prepared) == (self._config, self._poster.prepared):
            return
        self._config, self._poster.prepared = config, prepared
        self._buffer.most_events, self._buffer.most_bytes = config.max_events, config.max_size
        self._limit = config.batch_size
        self._refusals = 0
        self._backoff = self._new_backoff()
        if dropped := self._buffer.shrink():
            self._overflowed(dropped)
        self._changed.set()
        self._wake.set()

    def close(self) -> None:
        """Take nothing more; what is there is still sent. `finish` ends that."""
        self._closing = True
        self._wake.set()
        self._changed.set()

    async def finish(self, grace: float, *, last: bool = False) -> None:
        """Send what is there, for at most `grace` seconds; the rest is left in the outbox, or lost.

        `last`: the outbox's volume goes with the process, so that what is in it is lost too.
        """
        self.close()
        if not self._task.done():
            await asyncio.wait({self._task}, timeout=grace)
        self._closed = True
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)
        await self._poster.close()
        if self._syncing is not None:
            self._syncing.cancel()
        await self._end(last=last)
        with contextlib.suppress(KeyError):
            self._waiting.remove(self.name)
            self._oldest.remove(self.name)

    async def _end(self, *, last: bool) -> None:
        left, kept = len(self._buffer), False
        if self.outbox is not None:
            self.outbox.floor = self._buffer.floor
            try:
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await asyncio.to_thread(self.outbox.close)
                kept = not (last or self.outbox.problem)
            except TimeoutError:
                _LOG.error("logger %s: the disk of its outbox does not answer", self.name)
        if left and kept:
            _LOG.info(
                "logger %s: %s left in the outbox for the next worker", self.name, counted(left, "event")
            )
        elif left:
            _LOG.error("logger %s: %s lost at the end", self.name, counted(left, "event"))
            self._count_dropped(left, "closed")

    # -- the sender -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._closing or self._buffer:
            try:
                await self._look_for_orphans()
                if await self._filled():
                    await self._send()
            except Exception:  # noqa: BLE001 - a fault of ours must not end the feed
                _LOG.exception("logger %s: internal error", self.name)
                await self._pause(self._backoff.failure())
            self._measure()

    async def _filled(self) -> bool:
        """Wait for a full batch, or one whose first event has waited long enough; False: for nothing."""
        while not self._buffer and not self._closing:
            self._wake.clear()
            if not await _within(self._wake.wait(), LOOK):
                return False
        oldest = self._buffer.oldest
        if oldest is None:
            return False
        until = oldest + self._config.batch_interval
        while len(self._buffer) < self._limit and self._buffer.size < MOST_BODY and not self._closing:
            self._wake.clear()
            left = until - self._loop.time()
            if left <= 0 or not await _within(self._wake.wait(), left):
                break
        return True

    async def _send(self) -> None:
        """Send one batch; wait where that has failed."""
        events, used = self._buffer.take(self._limit, MOST_BODY), self._poster.prepared
        try:
            begun = self._loop.time()
            answer = await self._poster.post(batch(events))
            self._seconds.inc(self._loop.time() - begun)
        except BaseException:
            self._given_back()
            raise
        self._batches.labels(self.name, answer.verdict.value).inc()
        if answer.verdict is Verdict.TAKEN:
            self._taken(len(events))
            return
        self._tell(answer)
        if answer.verdict is Verdict.SMALLER:
            if len(events) == 1:
                self._give_up("too_large", answer)
            else:
                self._limit = len(events) // 2
                self._given_back()
            return
        if answer.verdict is Verdict.REFUSED:
            self._refusals += 1
            if self._refusals >= REFUSALS:
                self._give_up("refused", answer)
                return
        self._given_back()
        if self._poster.prepared is used:
            await self._pause(max(self._backoff.failure(), answer.wait))

    def _taken(self, count: int) -> None:
        self._sent.inc(count)
        self._done()
        self._backoff.success()
        if self._limit < self._config.batch_size:
            # Slowly back to where it was, should that have been one large event.
            self._limit = min(self._limit + 1 + self._limit // 10, self._config.batch_size)
        if self.problem:
            dropped = (
                f", {counted(self._dropping, 'event was', 'events were')} dropped meanwhile"
                if self._dropping
                else ""
            )
            _LOG.warning("logger %s: %s takes events again%s", self.name, self._origin, dropped)
            self.problem, self._dropping = "", 0

    def _done(self) -> None:
        self._refusals = 0
        self._buffer.done()
        if self.outbox is not None:
            self.outbox.floor = self._buffer.floor
            if self._syncing is None and not self._closed:
                self._syncing = self._loop.call_later(SYNC, self._sync_soon)

    def _give_up(self, why: str, answer: Answer) -> None:
        """Drop the batch that is being sent."""
        before = len(self._buffer)
        self._done()
        count = before - len(self._buffer)
        events = counted(count, "event")
        _LOG.error("logger %s: %s dropped: %s, %s", self.name, events, self._origin, answer.text)
        self._count_dropped(count, why)

    def _given_back(self) -> None:
        if dropped := self._buffer.give_back():
            self._overflowed(dropped)

    def _tell(self, answer: Answer) -> None:
        problem = f"{self._origin}: {answer.text}"
        if problem != self.problem:
            again = "tried again" if answer.verdict is Verdict.REFUSED else "kept and tried again"
            _LOG.error("logger %s: %s; events are %s", self.name, problem, again)
            self.problem = problem

    async def _pause(self, seconds: float) -> None:
        self._changed.clear()
        if self._closing:
            await asyncio.sleep(min(seconds, 1.0))
            return
        until = self._loop.time() + seconds
        while (left := until - self._loop.time()) > 0:
            self._measure()
            if await _within(self._changed.wait(), min(left, LOOK)):
                return

    @property
    def _origin(self) -> str:
        return origin_of(self._config.url)

    # -- the outbox -----------------------------------------------------------------------------------

    def _sync_soon(self) -> None:
        self._syncing = None
        if self.outbox is not None and not self._closed:
            self._loop.run_in_executor(None, self.outbox.sync)

    async def _look_for_orphans(self) -> None:
        """Take over what other processes left, as far as there is room."""
        outbox, now = self.outbox, self._loop.time()
        if outbox is None or now < self._look_at or self._closing:
            return
        self._look_at = now + LOOK
        while self._buffer.room > 0:
            # Of any size where nothing else waits: with smaller bounds than before it would stay for ever.
            room = self._buffer.room if self._buffer else 2**62
            found = await asyncio.to_thread(outbox.orphans, room)
            if found is None:
                return
            for line in found.lines:
                self.write(line)
            await asyncio.to_thread(outbox.sync)
            await asyncio.to_thread(outbox.release, found)
            taken = counted(len(found.lines), "event")
            _LOG.info("logger %s: %s of a process that has ended", self.name, taken)

    # -- counting -------------------------------------------------------------------------------------

    def _new_backoff(self) -> Backoff:
        return Backoff(Exponential(RETRY_FIRST, self._config.max_retry_interval, jitter=(0.8, 1.0)))

    def _overflowed(self, count: int) -> None:
        if not self._dropping:
            _LOG.error(
                "logger %s: more events wait than maxEvents or maxSize allow, the oldest are dropped%s",
                self.name,
                f": {self.problem}" if self.problem else "",
            )
        self._dropping += count
        self._count_dropped(count, "full")

    def _count_dropped(self, count: int, why: str) -> None:
        self._dropped.labels(self.name, why).inc(count)

    def _measure(self) -> None:
        oldest = self._buffer.oldest
        self._waiting.labels(self.name).set(len(self._buffer))
        self._oldest.labels(self.name).set(0.0 if oldest is None else self._loop.time() - oldest)


async def _within(awaited: Awaitable[object], seconds: float) -> bool:
    """Whether it came within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await awaited
    except TimeoutError:
        return False
    return True
