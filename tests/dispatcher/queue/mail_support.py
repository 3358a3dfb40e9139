"""A queue whose notifications are followed by mails, and a relay that a test answers for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.dispatcher.delivery.support import FACTS, FakePool
from tests.dispatcher.queue.support import Bench
from tubepost_api.config import DeliveryConfig
from tubepost_api.config_relay import BounceConfig
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.domain import Domain, Route
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

TAKEN = Reply(250, "2.0.0", "Relay: Ok")
REJECTED = Reply(550, "5.1.1", "Relay: no such user", "RelayRejected")
GREYLISTED = Reply(451, "4.7.1", "Relay: greylisted", "RelayDeferred")
DOWN = refusal("RelayUnreachable")


class FakeRelay:
    """A `MailSender` that keeps what it is given."""

    def __init__(self) -> None:
        self.held_until = 0.0
        self.mails: list[tuple[OutgoingMail, Callable[[Reply], None]]] = []

    def send(self, mail: OutgoingMail, done: Callable[[Reply], None]) -> None:
        self.mails.append((mail, done))

    def blames_relay(self, reply: Reply) -> bool:
        return reply is DOWN

    def answer(self, reply: Reply) -> OutgoingMail:
        mail, done = self.mails.pop(0)
        done(reply)
        return mail


class MailBench(Bench):
    """A queue with reports, and a relay."""

    def __init__(self, bounces: BounceConfig | None = None, **values: Any) -> None:
        self.relay = values.pop("relay", None) or FakeRelay()
        self.reports = Reports()
        self.reports.swap("mx.example", relay=True)
        pool = FakePool()
        options = values.pop("options", None) or DeliveryConfig()
        only = Domain(
            options, [Route("route0", pool, FACTS, "apns.example")], bounces=bounces or BounceConfig()
        )
        super().__init__(only, pool, reports=self.reports, sender=self.relay, **values)

    def sent_mails(self) -> list[str]:
        return [mail.kind for mail, _ in self.relay.mails]

    def counted(self, kind: str, result: str) -> float:
        return self.metrics.bounces.labels(kind, result)._value.get()
