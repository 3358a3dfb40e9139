"""Mails in the queue: what follows a notification's end, until the relay has it.

The row of a notification that a mail follows becomes the mail's, in one commit: whoever dies in between meets
the one or the other. A mail that the relay does not take for now waits by the domain's schedule, five days at
most; while the relay itself is the trouble, all of them wait, and one is tried now and then.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, Protocol

from tubepost_dispatcher.delivery.domain import DomainsInForce
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.delivery.schedule import Schedule
from tubepost_dispatcher.follow_up import MailKind, OutgoingMail, decode, encode
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.queue.entries import held_back
from tubepost_dispatcher.queue.feeder import Feeder
from tubepost_dispatcher.queue.groups import RELAY, Gate
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.queue.patience import Patience
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Entry, Failure, Kept
from tubepost_dispatcher.text import hide_tokens
from tubepost_runtime.words import counted

_LOG = logging.getLogger("tubepost.bounces")

MAIL_EXPIRATION: Final = 432_000.0
"""Seconds after which a mail is given up: five days, as long as other mail servers keep a bounce."""
Result = Literal["sent", "deferred", "rejected", "expired", "dropped", "no_relay"]
"""What became of a mail, as a label of metrics."""

LATER: Final = 1.0
"""Seconds that a mail waits at least when the relay is the trouble."""

_DEFAULT: Final = Schedule().policy()
_NAMES: Final = {
    "bounce": "bounce",
    "delay": "delay notice",
    "success": "success notice",
    "reroute": "rerouted mail",
}


class MailSender(Gate, Protocol):
    """What hands mails to the relay."""

    def send(self, mail: OutgoingMail, done: Callable[[Reply], None]) -> None:
        """Hand it over, and call back with the relay's answer; never from inside this call."""

    def blames_relay(self, reply: Reply) -> bool:
        """Whether an answer says that the relay is the trouble, and not the mail."""


class NoRelay:
    """Implements `MailSender` where there is none."""

    held_until = math.inf

    def send(self, mail: OutgoingMail, done: Callable[[Reply], None]) -> None:
        """Nothing is handed over while the gate is closed."""
        raise AssertionError(mail, done)

    def blames_relay(self, reply: Reply) -> bool:
        """There is none."""
        raise AssertionError(reply)


class Mailing:
    """A mail that is on its way to the relay. Its entry is taken from its store."""

    __slots__ = ("entry", "hold", "key", "lane", "mail", "started")

    def __init__(self, lane: Lane, key: int, entry: Entry, mail: OutgoingMail, now: float) -> None:
        self.lane = lane
        self.key = key
        self.entry = entry
        self.mail = mail
        self.started = now
        """Monotonic seconds."""
        self.hold = ""
        """Set meanwhile: an operator holds it, should the relay not take it."""


class Mails:
    """Lives on one event loop; every method is called on it.

    Args:
        feeder: reads them back when they are due.
        sender: hands them over.
        domains: those in force; `swap` replaces them.
        patience: how long domains wait between two attempts.
        journal: told what becomes of them.
        metrics: where to count.
        settled: told when a mail of a partition is no longer on its way.
        clock: monotonic seconds.
        wall: unix seconds.
        chance: random numbers from 0.0 to 1.0, for jitter.
    """

    def __init__(
        self,
        feeder: Feeder,
        sender: MailSender,
        domains: DomainsInForce,
        patience: Patience,
        journal: Journal,
        metrics: Metrics,
        settled: Callable[[Slot], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._feeder = feeder
        self._sender = sender
        self._domains = domains
        self._patience = patience
        self._journal = journal
        self._metrics = metrics
        self._settled = settled
        self._clock = clock
        self._wall = wall
        self._chance = chance

    def swap(self, domains: DomainsInForce) -> None:
        """Put another configuration in force."""
        self._domains = domains

    # -- into the queue -------------------------------------------------------------------------------

    def replace(self, slot: Slot, key: int, mail: OutgoingMail, sender: str) -> None:
        """Make a taken notification's row the mail's that follows it; `sender` of the notification."""
        lane = self._feeder.mails(slot)
        entry = self._entry(lane, mail, sender, self._wall())
        slot.store.again(key, entry)
        self._feeder.stored(lane, entry.due)

    def add(
        self, slot: Slot, mail: OutgoingMail, sender: str, then: Callable[[Failure | None], None]
    ) -> None:
        """Store a mail beside its notification; `then` hears None when it is durable."""
        lane = self._feeder.mails(slot)
        entry = self._entry(lane, mail, sender, self._wall())

        def put(answer: object) -> None:
            failure = answer if isinstance(answer, Failure) else None
            then(failure)
            if failure is None:
                self._feeder.stored(lane, entry.due)

        slot.store.put([entry], put, take=False)

    def _entry(self, lane: Lane, mail: OutgoingMail, sender: str, due: float, reason: str = "") -> Entry:
        return Entry(
            encode(mail), mail.message_id, mail.domain, sender, mail.created_at, due,
            mail.created_at + MAIL_EXPIRATION, mail.attempt, reason, RELAY, "", lane.ident,
        )  # fmt: skip

    # -- out of it ------------------------------------------------------------------------------------

    def take(self, lane: Lane, one: Kept) -> None:
        """One is due."""
        if (mail := self._read(lane, one)) is None:
            self._feeder.gone(lane, fresh=False)
            return
        mailing = Mailing(lane, one.key, one.entry, mail, self._clock())
        lane.slot.mailing[one.key] = mailing
        if one.entry.expires <= self._wall():
            self._over(mailing)
            self.expire(lane, one)
        elif self._sender.held_until > self._clock():
            # It was read before that was known.
            self._over(mailing, worked=False)
            self._give_back(mailing, self._wall() + LATER, one.entry.reason)
        else:
            self._sender.send(mail, partial(self._answered, mailing))

    def _answered(self, mailing: Mailing, reply: Reply) -> None:
        mail = mailing.mail
        if reply.code < 300:
            self._over(mailing)
            self._end(mailing.lane.slot, mailing.key, mail, "sent", Outcome(OutcomeKind.DELIVERED))
            return
        detail = f"{reply.code} {reply.enhanced} {reply.text}"
        if reply.code >= 500:
            self._over(mailing)
            outcome = Outcome(OutcomeKind.PERMANENT, reply.reason, detail=detail)
            self._end(mailing.lane.slot, mailing.key, mail, "rejected", outcome)
            return
        now, blames_relay = self._wall(), self._sender.blames_relay(reply)
        if blames_relay:
            # That is no attempt at this mail: it goes when the relay takes mail again.
            self._feeder.failed(mailing.lane, mailing.started)
            due = now + max(self._sender.held_until - self._clock(), LATER)
        else:
            mail.attempt += 1
            due = now + self._policy(mail.domain).wait(mail.attempt, self._chance())
        self._over(mailing, worked=not blames_relay)
        outcome = Outcome(OutcomeKind.TRANSIENT, reply.reason, detail=detail)
        if due >= mailing.entry.expires:
            self._end(mailing.lane.slot, mailing.key, mail, "expired", _expired(mail, reply.reason))
            return
        self._count(mail.kind, "deferred")
        self._journal.mailed(mail, outcome, self._wall(), due)
        self._give_back(mailing, due, reply.reason)

    def _give_back(self, mailing: Mailing, due: float, reason: str) -> None:
        lane = mailing.lane
        entry = self._entry(lane, mailing.mail, mailing.entry.sender, due, reason)
        if mailing.hold:
            entry = entry._replace(due=math.inf, hold=mailing.hold)
        lane.slot.store.again(mailing.key, entry)
        self._feeder.stored(lane, entry.due)

    def _over(self, mailing: Mailing, *, worked: bool = True) -> None:
        """It is not on its way any more; `worked`: the relay does."""
        lane = mailing.lane
        slot = lane.slot
        slot.mailing.pop(mailing.key, None)
        if worked and (window := lane.group.window).limits:
            window.succeeded()
        self._feeder.gone(lane, fresh=False)
        self._settled(slot)

    def expire(self, lane: Lane, one: Kept) -> None:
        """Give a taken one up, since its time is over."""
        if (mail := self._read(lane, one)) is not None:
            self._end(lane.slot, one.key, mail, "expired", _expired(mail, one.entry.reason))

    def drop(self, slot: Slot, one: Kept, why: str) -> None:
        """Give a taken one up, since an operator says so."""
        if (mail := self._read(self._feeder.mails(slot), one)) is not None:
            self._end(slot, one.key, mail, "dropped", permanent_outcome("Dropped", why))

    def _read(self, lane: Lane, one: Kept) -> OutgoingMail | None:
        """The mail of a taken entry; one that this release cannot read is held."""
        try:
            return decode(one.entry.body)
        except ValueError as error:
            _LOG.error("queue: a mail about message %s cannot be read: %s", one.entry.message_id, error)
            lane.slot.store.again(one.key, held_back(one.entry))
            return None

    def _end(self, slot: Slot, key: int, mail: OutgoingMail, result: Result, outcome: Outcome) -> None:
        slot.store.ended(key)
        self._count(mail.kind, result)
        self._journal.mailed(mail, outcome, self._wall())
        if result != "sent":
            name, to = _NAMES[mail.kind], hide_tokens(mail.recipient)
            text = "message %s: the %s to %s is given up (%s): %s"
            _LOG.warning(text, mail.message_id, name, to, outcome.reason, outcome.detail)

    def _count(self, kind: MailKind, result: Result) -> None:
        self._metrics.bounces.labels(kind, result).inc()

    def _policy(self, name: str) -> RetryPolicy:
        domain = self._domains.find(name)
        return _DEFAULT if domain is None else self._patience.of(domain)[1]


def _expired(mail: OutgoingMail, reason: str) -> Outcome:
    times = counted(mail.attempt, "time")
    detail = f"the relay has not taken it in {MAIL_EXPIRATION / 86_400:.0f} days, and put it off {times}"
    return permanent_outcome("Expired", detail + (f", the last reason: {reason}" if reason else ""))
