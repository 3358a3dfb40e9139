"""Acceptance with everything around it under a test's hand."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.dispatcher.delivery.support import FakePool
from tests.support.loop import FakeLoop
from tests.support.mcmt import message, part
from tubepost_api.config import (
    AcceptanceConfig,
    AcceptanceOverflow,
    DeliveryConfig,
    DispatcherConfig,
    EntryConfig,
    ListenerConfig,
    McmtReception,
    RouteConfig,
    RouteDefaults,
)
from tubepost_dispatcher.acceptance.active import ActiveConfig
from tubepost_dispatcher.acceptance.context import AcceptanceContext
from tubepost_dispatcher.acceptance.direct import DirectAcceptance
from tubepost_dispatcher.acceptance.queued import QueuedAcceptance
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Checked, Domain, Domains, Route
from tubepost_dispatcher.delivery.headers import RouteFacts
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.metrics_listener import MetricsListener
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.feeds.delivery_log import DeliveryLog
from tubepost_dispatcher.feeds.events import EventKind, LogEvent
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.pod_limits.bucket import TokenBucket
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.store.port import Failure
from tubepost_dispatcher.transaction import Recipient, SessionFacts, Transaction

TOKEN = "ab" * 32
WALL = 1_800_000_000.0


PER_MESSAGE = frozenset(
    {
        "Transaction",
        "DirectMessage",
        "QueuedMessage",
        "Notification",
        "Delivery",
        "ApnsRequest",
        "FakePutting",
    }
)


@dataclass
class Hub:
    events: list[LogEvent] = field(default_factory=list)

    def wants(self, kind: EventKind) -> bool:
        return True

    def log(self, event: LogEvent) -> None:
        self.events.append(event)


def garbage_of(step: Callable[[], object]) -> list[str]:
    """Names of the types of what a step leaves in cycles, of those that exist once per message."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        step()
        gc.collect()
        return sorted({type(one).__name__ for one in gc.garbage} & PER_MESSAGE)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def abandon(transaction: Transaction[Domain]) -> None:
    """As the listener does when the client has gone."""
    transaction.abandoned = True
    assert transaction.pending is not None
    transaction.pending.abandon()


@dataclass
class FakePutting:
    """What a FakeQueue was given."""

    items: Sequence[tuple[Notification, Domain]]
    done: Callable[[Failure | None], None]
    abandoned: bool = False

    def abandon(self) -> None:
        self.abandoned = True


class FakeJournal:
    """Keeps what delivery never had."""

    def __init__(self) -> None:
        self.discarded: list[Notification] = []
        self.refusals: list[tuple[Notification, Outcome]] = []

    def blackholed(self, notification: Notification) -> None:
        self.discarded.append(notification)

    def refused(self, notification: Notification, outcome: Outcome) -> None:
        self.refusals.append((notification, outcome))


@dataclass
class FakeQueue:
    """A queue whose disk answers when the test says so."""

    puttings: list[FakePutting] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    """With which it was asked to take over."""
    patient: bool = True
    """Its schedule has a further attempt."""

    def put(
        self,
        items: Sequence[tuple[Notification, Domain]],
        done: Callable[[Failure | None], None],
        checked: Sequence[Checked | None] = (),
    ) -> FakePutting:
        assert len(checked) in {0, len(items)}
        self.puttings.append(FakePutting(items, done))
        return self.puttings[-1]

    def take_over(
        self, delivery: Delivery, outcome: Outcome, done: Callable[[Failure | None], None]
    ) -> FakePutting | None:
        self.outcomes.append(outcome)
        return self.put([(delivery.notification, delivery.domain)], done) if self.patient else None

    def answer(self, failure: Failure | None = None) -> FakePutting:
        putting = self.puttings.pop(0)
        assert not putting.abandoned
        putting.done(failure)
        return putting


class Bench:
    """A DirectAcceptance with everything around it under the test's hand."""

    def __init__(
        self,
        delivery: DeliveryConfig | None = None,
        routes: int = 1,
        reception: McmtReception = McmtReception.ALLOW,
        deadline: float = 30.0,
        facts: RouteFacts | str | None = "default",
        overflow: AcceptanceOverflow = AcceptanceOverflow.REFUSE,
        message_log: Literal["Disabled", "Enabled"] = "Disabled",
    ) -> None:
        delivery = delivery or DeliveryConfig()
        self.loop, self.hub, self.metrics = FakeLoop(), Hub(), Metrics()
        self.pools = [FakePool() for _ in range(routes)]
        self.replies: list[tuple[int, str, str]] = []
        names = tuple(f"route{number}" for number in range(routes))
        entry = EntryConfig(name="apn_example.com", routes=names, delivery=delivery)
        config = DispatcherConfig(
            name="alerts",
            listener=ListenerConfig(hostname="mx.test", mcmt_reception=reception),
            acceptance=AcceptanceConfig(deadline=deadline, overflow=overflow),
            entries=(entry,),
            routes={name: RouteConfig(name=name, environment=None, host="h", port=1) for name in names},
            message_log=message_log,
        )
        usable = RouteFacts(frozenset(), "com.example.app", "token", RouteDefaults())
        domain = Domain(
            delivery,
            [
                Route(name, pool, usable if facts == "default" else facts)  # type: ignore[arg-type]
                for name, pool in zip(names, self.pools, strict=True)
            ],
            TokenBucket(delivery.throttle) if delivery.throttle else None,
        )
        self.active = ActiveConfig(config, Domains(DomainLookup((entry,)), (domain,)), None)
        clock: dict[str, Any] = {"loop": self.loop, "clock": self.loop.clock, "wall": lambda: WALL}
        log = DeliveryLog(self.hub, clock["wall"])
        listeners = (MetricsListener(self.metrics), log)
        self.deliverer = Deliverer(self.active.domains, listeners, self.metrics, chance=lambda: 0.5, **clock)
        self.journal = FakeJournal()
        self.context = AcceptanceContext(log, self.metrics, self.journal, **clock)
        self.queue = FakeQueue()
        self.acceptance: DirectAcceptance | QueuedAcceptance = DirectAcceptance(
            self.active, self.deliverer, self.context, self.queue
        )

    def swap(self, active: ActiveConfig) -> None:
        """As a worker does when the configuration changes."""
        self.deliverer.swap(active.domains)
        self.acceptance.swap(active)

    def transaction_done(self, transaction: Transaction[Domain], reply: Reply) -> None:
        self.replies.append(reply[:3])

    def inject(self, payload: str = '{"aps": {"alert": "hi"}}', parts: int = 1) -> Transaction[Domain]:
        return self.take(message(*[part(payload.encode())] * parts))

    def take(self, content: bytes) -> Transaction[Domain]:
        session = SessionFacts("192.0.2.1", 4711)
        entry = self.acceptance.check_recipient(session, "apn_example.com", 0)
        assert not isinstance(entry, Reply)
        transaction = Transaction(
            self,
            session,
            "m1",
            "alerts@sender.example",
            [Recipient("sub@apn_example.com", "apn_example.com", entry)],
            content,
        )
        self.acceptance.accept(transaction)
        return transaction

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def messages(self, result: str, kind: str = "push") -> float:
        return self.count("tubepost_messages_total", kind=kind, result=result)


class QueuedBench(Bench):
    """A QueuedAcceptance for two domains, `apn_example.com` and one whose delivery options are given."""

    OTHER = "other.example"

    def __init__(self, other: DeliveryConfig | None = None, **options: Any) -> None:
        super().__init__(**options)
        other = other or DeliveryConfig()
        (entry,) = self.active.config.entries
        second = EntryConfig(name=self.OTHER, routes=entry.routes, delivery=other)
        first = self.active.domains.find("apn_example.com")
        assert first is not None
        domains = Domains(DomainLookup((entry, second)), (first, Domain(other, first.routes)))
        config = self.active.config.model_copy(update={"entries": (entry, second)})
        self.active = ActiveConfig(config, domains, None)
        self.deliverer.swap(domains)
        self.acceptance = QueuedAcceptance(self.active, self.deliverer, self.context, self.queue)

    def send(self, *to: str, content: bytes | None = None, message_id: str = "m1") -> Transaction[Domain]:
        """A message to these local parts, or whole addresses."""
        session = SessionFacts("192.0.2.1", 4711)
        recipients = []
        for one in to or ("sub",):
            local, _, domain = one.partition("@")
            domain = domain or "apn_example.com"
            serving = self.acceptance.check_recipient(session, domain, len(recipients))
            assert not isinstance(serving, Reply)
            recipients.append(Recipient(f"{local}@{domain}", domain, serving))
        content = message(part()) if content is None else content
        transaction = Transaction(self, session, message_id, "alerts@sender.example", recipients, content)
        self.acceptance.accept(transaction)
        return transaction
