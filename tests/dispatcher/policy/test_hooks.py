from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.dispatcher.delivery.support import DEAD, DELIVERED, FakePool, Told, domain, domains, notification
from tests.dispatcher.policy.support import settings, until
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.policy.client import PolicyClient
from tubepost_dispatcher.policy.hooks import PolicyHooks

QUEUED = RetryPolicy(first=10.0, most=80.0, in_memory=0.0, queued=True)


class Site:
    """A deliverer with a policy in a real process; the pool is the test's."""

    def __init__(self, client: PolicyClient, metrics: Metrics) -> None:
        self.metrics = metrics
        self.pool = FakePool()
        self.told = Told()
        self.domain = domain(self.pool)
        self.deliverer = Deliverer(domains(self.domain), (self.told.listener,), metrics)
        self.deliverer.set_hooks(PolicyHooks(client, metrics, lambda: 5.0))

    def deliver(self) -> Delivery:
        now = asyncio.get_running_loop().time()
        delivery, outcome = self.deliverer.prepare(
            notification(), self.domain, self.told, QUEUED, now, now + 60.0
        )
        assert outcome is None
        self.deliverer.start(delivery)
        return delivery

    async def answered(self, outcome: Outcome) -> None:
        await until(lambda: bool(self.pool.requests))
        self.pool.answer(outcome)

    async def end(self) -> Outcome:
        await until(lambda: bool(self.told.owner_ends or self.told.deferrals))
        return self.told.owner_ends[0][1] if self.told.owner_ends else self.told.deferrals[0][1]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def site(body: str) -> AsyncIterator[Site]:
    metrics = Metrics()
    head = "from tubepost_policy import CONTINUE, DONE, PERMFAILED, SUCCESS, TEMPFAILED\n"
    client = PolicyClient(settings(head + textwrap.dedent(body)), metrics)
    try:
        yield Site(client, metrics)
    finally:
        await client.close(1.0)


async def test_a_request_is_changed_by_a_module() -> None:
    body = """
    def apn_request_eval(req, msg):
        req.json["aps"]["badge"] = len(msg.context)
        req.priority = 5
        msg.context["seen"] = "yes"
    """
    async with site(body) as here:
        delivery = here.deliver()
        await until(lambda: bool(here.pool.requests))
        request = here.pool.requests[0]
        assert (request.payload, request.priority) == (b'{"aps":{"badge":5}}', 5)
        await here.answered(DELIVERED)
        assert await here.end() is DELIVERED
        assert delivery.notification.context == {"seen": "yes"}


@pytest.mark.parametrize(
    ("body", "reason", "kept"),
    [
        ("def apn_status_classifier(status): return TEMPFAILED", "Unregistered", True),
        ("def apn_status_classifier(status): return SUCCESS", "", False),
        ("def apn_response_eval(resp): resp.status, resp.reason = 503, 'Shutdown'", "Shutdown", True),
        ("def generic_delivery_msg_dispose(msg): return DONE", "DroppedByPolicy", False),
        ("def generic_delivery_msg_dispose(msg): msg.drop('old')", "DroppedByPolicy", False),
        ("def generic_delivery_msg_dispose(msg): return CONTINUE", "Unregistered", False),
        ("def generic_delivery_msg_dispose(msg): return 7", "PolicyFailed", True),
        ("def apn_response_eval(resp): 1 / 0", "PolicyFailed", True),
        ("def apn_request_eval(req, msg): 1 / 0", "PolicyFailed", True),
        ("def apn_request_eval(req, msg): req.priority = 7", "PolicyFailed", True),
    ],
)
async def test_what_becomes_of_a_dead_token(body: str, reason: str, kept: bool) -> None:
    async with site(body) as here:
        here.deliver()
        if "apn_request_eval" not in body:
            await here.answered(DEAD)
        assert (await here.end()).reason == reason
        assert bool(here.told.deferrals) is kept
        if reason == "DroppedByPolicy" and "drop" in body:
            assert here.count("tubepost_policy_actions_total", action="drop") == 1


async def test_a_mail_in_the_place_of_a_notification() -> None:
    body = """
    def generic_delivery_msg_dispose(msg):
        if msg.outcome.status == 410:
            msg.send_mail("u@x.example", "Missed", msg.json["aps"].get("alert", "-"))
    """
    async with site(body) as here:
        delivery = here.deliver()
        await here.answered(DEAD)
        assert (await here.end()) is DEAD
        mail = delivery.follow_up
        assert mail is not None
        assert (mail.kind, mail.sender, mail.recipient) == ("reroute", "a@b.example", "u@x.example")
        assert b"Subject: Missed\r\n" in mail.content
        assert here.count("tubepost_policy_actions_total", action="mail") == 1


async def test_a_withdrawn_question_is_not_answered() -> None:
    async with site("def apn_request_eval(req, msg): pass") as here:
        delivery = here.deliver()
        assert here.deliverer.withdraw(delivery)
        assert (await here.end()).reason == "ClientGone"
        assert not here.pool.requests
