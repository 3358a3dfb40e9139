"""Handing mail to the passthru relay, before the 250."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable

from tubepost_dispatcher.acceptance.accounting import result_of
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.client import relay
from tubepost_dispatcher.transaction import Mailing, Transaction
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.mail")

REMEMBERED = 10_000
"""How many handed-over e-mail parts are remembered, so that a repeated message makes no second mail."""

Done = Callable[[Reply], None]


class MailRelay:
    """Relays messages and e-mail parts; mail is the rare case, so here a task per message is fine."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tasks = TaskSet()
        self._taken: OrderedDict[bytes, None] = OrderedDict()

    def hand_over(
        self,
        active: ActiveConfig,
        transaction: Transaction[Domain],
        content: Mailing,
        done: Done,
        *,
        remember: bool = False,
    ) -> None:
        """Relay `content`, then call `done(reply)` on the event loop.

        Args:
            active: names the relay.
            transaction: envelope.
            content: the mail.
            done: gets the reply to give; never called from inside this call.
            remember: answer 250 at once when the same content from the same sender to the same recipient
                was taken by the relay before (a repetition of a message whose push part failed).
        """
        self._tasks.spawn(self._run(active, transaction, content, done, remember=remember))

    async def _run(
        self,
        active: ActiveConfig,
        transaction: Transaction[Domain],
        content: Mailing,
        done: Done,
        *,
        remember: bool,
    ) -> None:
        try:
            reply = await self._relay(active, transaction, content, remember=remember)
        except Exception:  # noqa: BLE001 - whatever it is, a fault of ours is never a bounce
            _LOG.exception("message %s: handing it to the relay failed", transaction.message_id)
            reply = refusal("InternalError")
        done(reply)

    async def _relay(
        self, active: ActiveConfig, transaction: Transaction[Domain], content: Mailing, *, remember: bool
    ) -> Reply:
        config = active.config
        assert config.passthru is not None
        recipient = transaction.recipients[0]
        mark = b""
        if remember:
            envelope = f"{transaction.mail_from}\0{recipient.address}\0".encode("utf-8", "replace")
            digest = hashlib.sha256(envelope)
            digest.update(content)
            mark = digest.digest()
            if mark in self._taken:
                return Reply(250, "2.0.0", "Taken by the relay before")
        reply = await relay(
            config.passthru,
            active.relay_auth,
            transaction.mail_from,
            [recipient.address],
            content,
            hostname=config.listener.hostname,
            session=transaction.session,
            message_id=transaction.message_id,
            smtputf8=transaction.smtputf8,
            dsn={**(transaction.dsn or {}), **(recipient.dsn or {})},
            tls=active.relay_tls,
        )
        result = result_of(reply)
        self._metrics.passthru_messages.labels(result).inc()
        if result == "accepted" and mark:
            self._taken[mark] = None
            if len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)
        return reply

    async def close(self, grace: float) -> None:
        """Wait for the hand-overs under way, at most `grace` seconds; those left are ended."""
        await self._tasks.join(grace)
