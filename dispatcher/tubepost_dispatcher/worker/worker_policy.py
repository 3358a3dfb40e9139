"""A worker's policy: put in force, replaced and taken away as the configuration says."""

from __future__ import annotations

from typing import Any, Final

from tubepost_api.config import PolicyConfig
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.policy.client import PolicyClient
from tubepost_dispatcher.policy.hooks import PolicyHooks
from tubepost_runtime.tasks import TaskSet

LEAVE: Final = 15.0
"""Seconds for calls that are under way when the policy is taken away."""


class WorkerPolicy:
    """Lives on one event loop; every method is called on it. Without a policy there is no process.

    Args:
        deliverer: asks the hooks.
        metrics: where to count.
        config: of the policy in force, None without.
    """

    def __init__(self, deliverer: Deliverer, metrics: Metrics, config: PolicyConfig | None) -> None:
        self._deliverer = deliverer
        self._metrics = metrics
        self._client: PolicyClient | None = None
        self._closing = TaskSet()
        metrics.policy_processes.set_function(lambda: self._client.ready if self._client else 0)
        metrics.policy_waiting.set_function(lambda: self._client.waiting if self._client else 0)
        self.update(config)

    def update(self, config: PolicyConfig | None) -> None:
        """Put another policy in force, between two calls; None: there is none any more."""
        if config is None:
            if self._client is not None:
                self._deliverer.set_hooks(None)
                self._closing.spawn(self._client.close(LEAVE))
                self._client = None
        elif self._client is None:
            self._client = PolicyClient(config, self._metrics)
            self._deliverer.set_hooks(PolicyHooks(self._client, self._metrics))
        else:
            self._client.swap(config)

    def status(self) -> dict[str, Any] | None:
        """Live facts, for /status; None without a policy."""
        if self._client is None:
            return None
        return {
            "configMap": self._client.settings.name,
            "processes": self._client.ready,
            "waiting": self._client.waiting,
        }

    async def close(self, grace: float) -> None:
        """End all processes; calls that are under way have at most `grace` seconds."""
        if self._client is not None:
            self._closing.spawn(self._client.close(grace))
            self._client = None
        await self._closing.join(grace + 2.0)
