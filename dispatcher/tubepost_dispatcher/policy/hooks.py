"""A policy's hooks, as delivery asks them: implements its port `Hooks` by way of the policy processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tubepost_dispatcher.delivery.hooks import Ruled, Ruling
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.policy.changes import Refused
from tubepost_dispatcher.policy.client import Call, PolicyClient
from tubepost_dispatcher.policy.facts import message_facts, outcome_facts, request_facts
from tubepost_dispatcher.policy.faults import Fault
from tubepost_dispatcher.policy.rulings import ruling_of
from tubepost_dispatcher.policy.wire import Point

_LOG = logging.getLogger("tubepost.policy")


class _Question:
    __slots__ = ("_call", "_client")

    def __init__(self, client: PolicyClient, call: Call) -> None:
        self._client = client
        self._call = call

    def withdraw(self) -> None:
        self._client.withdraw(self._call)


class PolicyHooks:
    """Implements `Hooks`.

    Args:
        client: calls the module.
        metrics: where to count.
        wall: unix seconds.
    """

    def __init__(self, client: PolicyClient, metrics: Metrics, wall: Callable[[], float] = time.time) -> None:
        self._client = client
        self._metrics = metrics
        self._wall = wall

    def before_attempt(self, delivery: Delivery, ruled: Ruled) -> _Question | None:
        """See `Hooks`."""
        if not self._client.has("request"):
            return None

        def content() -> dict[str, Any]:
            return {"message": message_facts(delivery, delivery.outcome), "request": request_facts(delivery)}

        return self._ask("request", delivery, None, content, ruled)

    def after_attempt(self, delivery: Delivery, outcome: Outcome, ruled: Ruled) -> _Question | None:
        """See `Hooks`."""
        if not self._client.has("response"):
            return None

        def content() -> dict[str, Any]:
            facts = outcome_facts(outcome)
            return {"message": message_facts(delivery, outcome), "response": facts, "outcome": facts}

        return self._ask("response", delivery, outcome, content, ruled)

    def before_end(self, delivery: Delivery, outcome: Outcome, ruled: Ruled) -> _Question | None:
        """See `Hooks`."""
        if not self._client.has("dispose"):
            return None

        def content() -> dict[str, Any]:
            return {"message": message_facts(delivery, outcome), "outcome": outcome_facts(outcome)}

        return self._ask("dispose", delivery, outcome, content, ruled)

    def _ask(
        self,
        point: Point,
        delivery: Delivery,
        outcome: Outcome | None,
        content: Callable[[], dict[str, Any]],
        ruled: Ruled,
    ) -> _Question:
        notification = delivery.notification
        done = partial(self._answered, point, notification, outcome, ruled)
        return _Question(self._client, self._client.call(point, content, done, notification.message_id))

    def _answered(
        self,
        point: Point,
        notification: Notification,
        outcome: Outcome | None,
        ruled: Ruled,
        answer: dict[str, Any] | Fault,
    ) -> None:
        if isinstance(answer, Fault):
            ruled(Ruling(fault=str(answer), busy=answer.kind == "busy"))
            return
        try:
            ruling = ruling_of(answer, notification, outcome, self._wall())
        except Refused as refused:
            self._metrics.policy_faults.labels(point, "result").inc()
            name = self._client.settings.name
            _LOG.warning("policy %s, %s: message %s: %s", name, point, notification.message_id, refused)
            ruling = Ruling(fault=str(refused))
        else:
            if (action := answer.get("action")) is not None:
                self._metrics.policy_actions.labels(action["type"]).inc()
        ruled(ruling)
