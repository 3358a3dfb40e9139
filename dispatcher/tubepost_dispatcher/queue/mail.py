"""Handing mail to the passthru relay, before the 250."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable

from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.queue.entries import EntryRuntime, Snapshot
from tubepost_dispatcher.smtp.client import RelayKind, relay
from tubepost_dispatcher.transaction import Content, Transaction

_LOG = logging.getLogger("tubepost.mail")

REMEMBERED = 10_000
"""How many handed-over e-mail parts are remembered, so that a repeated message makes no second mail."""

Done = Callable[[int, str, str], None]


class MailHandover:
    """Relays messages and e-mail parts; mail is the rare case, so here a task per message is fine."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: OrderedDict[bytes, None] = OrderedDict()

    def hand_over(
        self,
        snapshot: Snapshot,
        transaction: Transaction[EntryRuntime],
        content: Content,
        done: Done,
        *,
        remember: bool = False,
    ) -> None:
        """Relay `content`, then call `done(code, enhanced, text)` on the event loop.

        Args:
            snapshot: names the relay.
            transaction: envelope.
            content: the mail, bytes-like.
            done: gets the reply to give; never called from inside this call.
            remember: answer 250 at once when the same content from the same sender to the same recipient
                was taken by the relay before (a repetition of a message whose push part failed).
        """
        task = asyncio.get_running_loop().create_task(
            self._run(snapshot, transaction, content, done, remember=remember)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self,
        snapshot: Snapshot,
        transaction: Transaction[EntryRuntime],
        content: Content,
        done: Done,
        *,
        remember: bool,
    ) -> None:
        try:
            code, enhanced, text = await self._relay(snapshot, transaction, content, remember=remember)
        except Exception:  # noqa: BLE001 - whatever it is, a fault of ours is never a bounce
            _LOG.exception("message %s: handing it to the relay failed", transaction.message_id)
            code, enhanced, text = 451, "4.3.0", "Internal error, try again later"
        done(code, enhanced, text)

    async def _relay(
        self, snapshot: Snapshot, transaction: Transaction[EntryRuntime], content: Content, *, remember: bool
    ) -> tuple[int, str, str]:
        config = snapshot.config
        assert config.passthru is not None
        mark = b""
        if remember:
            envelope = f"{transaction.mail_from}\0{transaction.recipients[0].address}\0".encode(
                "utf-8", "replace"
            )
            mark = hashlib.sha256(envelope + content).digest()
            if mark in self._taken:
                return 250, "2.0.0", "Taken by the relay before"
        result = await relay(
            config.passthru,
            snapshot.relay_auth,
            transaction.mail_from,
            [transaction.recipients[0].address],
            content,
            hostname=config.listener.hostname,
            session=transaction.session,
            message_id=transaction.message_id,
            smtputf8=transaction.smtputf8,
            dsn={**(transaction.dsn or {}), **(transaction.recipients[0].dsn or {})},
        )
        self._metrics.passthru_messages.labels(result.kind.value).inc()
        if result.kind is RelayKind.ACCEPTED:
            if mark:
                self._taken[mark] = None
                if len(self._taken) > REMEMBERED:
                    self._taken.popitem(last=False)
            return 250, "2.0.0", f"Relayed: {result.text}"
        return result.code, result.enhanced, f"Relay: {result.text}"

    async def close(self, grace: float) -> None:
        """Wait for the hand-overs under way, at most `grace` seconds; those left are ended."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
