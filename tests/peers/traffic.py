"""Notifications at a steady rate through delivery, as acceptance hands them over: what each reply was, and when."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from dataclasses import dataclass

from tests.peers.sender import Sender
from tubepost_api.config import DeliveryConfig, EntryConfig, RouteDefaults
from tubepost_dispatcher.acceptance.direct import RETRIES
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain, Domains, Route
from tubepost_dispatcher.delivery.headers import RouteFacts
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.domain_lookup import DomainLookup
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

NAME = "push.example"
DEADLINE = 30.0
"""Seconds until the reply, as by default."""


@dataclass(eq=False)
class Message:
    """One notification; the owner of its delivery."""

    traffic: Traffic
    name: str
    started: float
    ended_at: float = 0.0
    outcome: Outcome | None = None
    route: str = ""

    @property
    def seconds(self) -> float:
        """From the end of DATA to the reply."""
        return self.ended_at - self.started

    @property
    def delivered(self) -> bool:
        """Whether the reply was 250."""
        return self.outcome is not None and self.outcome.kind is OutcomeKind.DELIVERED

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """Take the reply."""
        self.outcome, self.ended_at = outcome, asyncio.get_running_loop().time()
        self.route = delivery.route.name if delivery.route else ""
        self.traffic.pending -= 1

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """As acceptance does."""
        del at
        self.ended(delivery, outcome)


class Traffic:
    """Sends by the routes `r0`, `r1` and so on, one for each pool, in this order."""

    def __init__(self, *senders: Sender, response_timeout: float) -> None:
        facts = RouteFacts(frozenset(), "com.example.app", "token", RouteDefaults())
        options = DeliveryConfig(response_timeout=response_timeout)
        routes = [Route(f"r{number}", sender.pool, facts) for number, sender in enumerate(senders)]
        entry = EntryConfig(name=NAME, routes=tuple(route.name for route in routes), delivery=options)
        self._domain = Domain(options, routes)
        self._deliverer = Deliverer(Domains(DomainLookup((entry,)), (self._domain,)), (), Metrics())
        self._numbers = itertools.count()
        self.messages: list[Message] = []
        self.pending = 0
        self.lag = 0.0
        """The longest time by which this process was late: a busy machine, no fault of what is tested."""

    def send(self) -> Message:
        """Begin one message."""
        loop = asyncio.get_running_loop()
        message = Message(self, f"m{next(self._numbers)}", loop.time())
        self.messages.append(message)
        self.pending += 1
        push = PushPart(b"00ab" * 16, json.dumps({"aps": {}, "id": message.name}).encode())
        identity = str(uuid.uuid4()).encode()
        notification = Notification(push, identity, message.name, "a@b.example", f"d@{NAME}", NAME)
        now = loop.time()
        delivery, outcome = self._deliverer.prepare(
            notification, self._domain, message, RETRIES, now, now + DEADLINE
        )
        if outcome is None:
            self._deliverer.start(delivery)
        else:
            self._deliverer.settle(delivery, outcome)
        return message

    async def run(self, rate: int, seconds: float) -> None:
        """Send so many messages a second for some time."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            self.lag = max(self.lag, loop.time() - due)
            self.send()

    async def replies(self) -> None:
        """Wait for the replies that are due."""
        async with asyncio.timeout(DEADLINE + 10.0):
            while self.pending:  # noqa: ASYNC110 - the end of the last of many
                await asyncio.sleep(0.02)

    def delivered(self) -> int:
        """Messages that were answered 250."""
        return sum(message.delivered for message in self.messages)

    def since(self, moment: float) -> list[Message]:
        """Those begun after a moment."""
        return [message for message in self.messages if message.started > moment]

    def over(self, seconds: float, messages: list[Message]) -> list[Message]:
        """Those whose reply took longer, apart from what this process was late."""
        return [message for message in messages if message.seconds > seconds + self.lag]
