"""Handing mail to the passthru relay, before the 250."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import mmap
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from tubepost_dispatcher.acceptance.accounting import result_of
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.client import Progress, relay
from tubepost_dispatcher.smtp.outgoing import unmap
from tubepost_dispatcher.transaction import Content, Mailing, Recipient, Transaction
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.mail")

MAX_HAND_OVERS = 100
"""Hand-overs under way at a time; more are refused for now."""
MAX_OCTETS = 128 * 1024 * 1024
"""Octets of all mails that are on their way to the relay; one of any size is always taken. What is held in
memory, and not in a temporary file, counts twice."""
REMEMBERED = 10_000
"""How many handed-over e-mail parts are remembered, one for each recipient, so that a repeated message makes
no second mail."""
REMEMBER_FOR = 24 * 3600.0
"""Seconds after which a message that comes again is a new one."""
_HASHED_AT_ONCE = 64 * 1024
"""Octets of a message that are hashed on the event loop; larger ones in a thread, without the GIL."""

Done = Callable[[Reply], None]


class HandOver:
    """One message on its way to the relay."""

    __slots__ = ("_progress", "_task", "marks", "started")

    def __init__(self) -> None:
        self._progress = Progress()
        self._task: asyncio.Task[None] | None = None
        self.marks: Sequence[bytes] = ()
        """What is remembered of it, one for each recipient; empty where nothing is."""
        self.started = False

    def withdraw(self) -> None:
        """The client has gone, and will send the message again.

        A hand-over whose mail is not yet complete at the relay ends, and makes no mail; a complete one goes
        on, since the relay may have taken it.
        """
        if self._task is not None and not self._progress.complete:
            self._progress.withdrawn = True
            if self.started:
                self._task.cancel()


class MailRelay:
    """Relays messages and e-mail parts; mail is the rare case, so here a task per message is fine."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._tasks = TaskSet()
        self._octets = 0
        self._turn = asyncio.Lock()
        self._taken: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        """Marks of messages whose e-mail part was taken: when, and with which message."""

    def hand_over(
        self,
        active: ActiveConfig,
        transaction: Transaction[Domain],
        recipients: Sequence[Recipient[Domain]],
        content: Mailing,
        done: Done,
        *,
        remember: bool = False,
    ) -> HandOver:
        """Relay `content` to all `recipients` or none, then call `done(reply)` on the event loop.

        Args:
            active: names the relay.
            transaction: envelope.
            recipients: those of the transaction who get it.
            content: the mail.
            done: gets the reply to give; never called from inside this call. Called also when the hand-over
                is withdrawn.
            remember: leave out recipients to whom the same message from the same sender came before, the
                relay has taken its e-mail part, and `forget` was not called since.
        """
        hand_over = HandOver()
        weight = _weight(content)
        if self._tasks and (len(self._tasks) >= MAX_HAND_OVERS or self._octets + weight > MAX_OCTETS):
            _LOG.warning(
                "message %s: not handed to the relay, %d messages of %d octets are on their way to it",
                transaction.message_id,
                len(self._tasks),
                self._octets,
            )
            self._metrics.passthru_messages.labels("deferred").inc()
            asyncio.get_running_loop().call_soon(done, refusal("RelayBusy"))
            return hand_over
        self._octets += weight
        hand_over._task = self._tasks.spawn(  # noqa: SLF001 - a class of this module
            self._run(hand_over, active, transaction, recipients, content, done, remember=remember)
        )
        return hand_over

    def forget(self, hand_over: HandOver) -> None:
        """The message has its final answer: when it comes again, it is a new one, with a new mail."""
        for mark in hand_over.marks:
            self._taken.pop(mark, None)

    async def _run(
        self,
        hand_over: HandOver,
        active: ActiveConfig,
        transaction: Transaction[Domain],
        recipients: Sequence[Recipient[Domain]],
        content: Mailing,
        done: Done,
        *,
        remember: bool,
    ) -> None:
        hand_over.started = True
        try:
            hand_over._progress.go_on()  # noqa: SLF001 - a class of this module
            if remember:
                hand_over.marks = await _marks(transaction, recipients)
                recipients = self._not_taken_before(hand_over, transaction, recipients)
            if recipients:
                reply = await self._relay(hand_over, active, transaction, recipients, content)
            else:
                reply = Reply(250, "2.0.0", "Taken by the relay before")
        except asyncio.CancelledError:
            if not hand_over._progress.withdrawn:  # noqa: SLF001 - a class of this module
                raise
            _LOG.info(
                "message %s: withdrawn from the relay before its end, since its client has gone",
                transaction.message_id,
            )
            reply = refusal("ClientGone")
        except Exception:  # noqa: BLE001 - whatever it is, a fault of ours is never a bounce
            _LOG.exception("message %s: handing it to the relay failed", transaction.message_id)
            reply = refusal("InternalError")
        finally:
            self._octets -= _weight(content)
        done(reply)

    def _not_taken_before(
        self,
        hand_over: HandOver,
        transaction: Transaction[Domain],
        recipients: Sequence[Recipient[Domain]],
    ) -> Sequence[Recipient[Domain]]:
        now = self._clock()
        while self._taken:
            mark, (since, _) = next(iter(self._taken.items()))
            if now - since < REMEMBER_FOR:
                break
            del self._taken[mark]
        left = [
            recipient
            for mark, recipient in zip(hand_over.marks, recipients, strict=True)
            if mark not in self._taken
        ]
        if len(left) < len(recipients):
            since, message_id = next(self._taken[mark] for mark in hand_over.marks if mark in self._taken)
            _LOG.info(
                "message %s: its e-mail part is not sent again to %d of %d recipients, the relay took it "
                "%.0f s ago with message %s",
                transaction.message_id,
                len(recipients) - len(left),
                len(recipients),
                now - since,
                message_id,
            )
        return left

    async def _relay(
        self,
        hand_over: HandOver,
        active: ActiveConfig,
        transaction: Transaction[Domain],
        recipients: Sequence[Recipient[Domain]],
        content: Mailing,
    ) -> Reply:
        config = active.config
        assert config.passthru is not None
        reply = await relay(
            config.passthru,
            active.relay_auth,
            transaction.mail_from,
            [(recipient.address, recipient.dsn) for recipient in recipients],
            content,
            hostname=config.listener.hostname,
            session=transaction.session,
            message_id=transaction.message_id,
            smtputf8=transaction.smtputf8,
            dsn=transaction.dsn,
            tls=active.relay_tls,
            turn=self._turn,
            progress=hand_over._progress,  # noqa: SLF001 - a class of this module
        )
        result = result_of(reply)
        self._metrics.passthru_messages.labels(result).inc()
        if result == "accepted":
            taken = (self._clock(), transaction.message_id)
            for mark in hand_over.marks:
                self._taken.setdefault(mark, taken)
            while len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)
        return reply

    async def close(self, grace: float) -> None:
        """Wait for the hand-overs under way, at most `grace` seconds; those left are ended."""
        await self._tasks.join(grace)


def _weight(content: Mailing) -> int:
    mapped = content.obj if isinstance(content, memoryview) else content
    return len(content) * (1 if isinstance(mapped, mmap.mmap) else 2)


async def _marks(
    transaction: Transaction[Domain], recipients: Sequence[Recipient[Domain]]
) -> Sequence[bytes]:
    """For each recipient, what a repetition of this message has in common with it, and no other message."""
    content = transaction.content
    if len(content) <= _HASHED_AT_ONCE:
        digest = _hashed(content)
    else:
        digest = await asyncio.to_thread(_hashed, content)
    sender = transaction.mail_from.encode("utf-8", "replace")
    return [
        hashlib.sha256(digest + sender + b"\0" + recipient.address.encode("utf-8", "replace")).digest()
        for recipient in recipients
    ]


def _hashed(content: Content) -> bytes:
    digest = hashlib.sha256(content).digest()
    unmap(content)
    return digest
