"""The process: wires everything together, and runs it until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final

from tubepost_operator.cache import Cache
from tubepost_operator.cluster import Cluster
from tubepost_operator.conditions import unix_time
from tubepost_operator.election import Election
from tubepost_operator.handlers.watching import watch_objects
from tubepost_operator.kinds import Kind
from tubepost_operator.leadership import Leadership
from tubepost_operator.lease import Guard
from tubepost_operator.liveness import Liveness
from tubepost_operator.metrics import OperatorMetrics, Sample
from tubepost_operator.own_watch import Noted, Tell
from tubepost_operator.pods import HttpPodAsker
from tubepost_operator.settings import Settings
from tubepost_runtime.endpoints import ProcessEndpoints
from tubepost_runtime.proxy_variables import proxy_variables

_LOG = logging.getLogger("tubepost.operator")

RESTART_PAUSE: Final = 2.0
"""Seconds before the tasks are restarted after they failed, where there is no leader election."""


class Operator:
    """The process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = OperatorMetrics()
        self._guard = Guard(time.monotonic)
        self._liveness = Liveness(time.monotonic)
        self._cluster = Cluster(settings.kubeconfig, self._guard, self._liveness, self._metrics)
        self._asker = HttpPodAsker()
        self._leadership: Leadership | None = None
        self._election: Election | None = None
        self._webhook_port: int | None = None
        self.health = ProcessEndpoints(
            settings.health_host,
            settings.health_port,
            lambda: self._metrics.registry,
            self._live,
            self._ready,
        )
        self._register()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT.

        Raises:
            OSError: a port cannot be bound.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.health.start()
        _LOG.info("health and metrics on port %d", self.health.port)
        if names := proxy_variables(os.environ):
            _LOG.info("%s is not used: the API server and pods are asked directly", ", ".join(names))
        tasks = [loop.create_task(self._work())]
        if self._settings.webhook:
            tasks.append(loop.create_task(self._serve_webhook()))
        stopping = loop.create_task(stop.wait())
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        await self.health.stop()
        await self._asker.close()
        self._cluster.close()
        for task in done:
            if task is not stopping:
                task.result()

    # -- leading --------------------------------------------------------------------------------------

    async def _work(self) -> None:
        if self._settings.leader_election:
            self._election = Election(self._settings, self._cluster, self._guard, self._lead)
            await self._election.run()
            return
        self._guard.hold(math.inf)
        while True:
            try:
                await self._lead()
            except Exception:  # noqa: BLE001 - whatever failed, everything restarts from scratch
                _LOG.exception("leader tasks failed, restarting in %.0f s", RESTART_PAUSE)
            await asyncio.sleep(RESTART_PAUSE)

    async def _lead(self) -> None:
        def watch_own(
            namespace: str | None,
            kinds: Sequence[Kind],
            tell: Tell,
            begun: Noted,
            noted: Noted,
            refused: Noted,
        ) -> Coroutine[Any, Any, None]:
            connection = self._cluster.connection_info()
            return watch_objects(connection, namespace, kinds, tell, begun, noted, refused, self._metrics)

        self._leadership = Leadership(
            self._settings, self._cluster, watch_own, self._asker, self._metrics, self._liveness
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._leadership.run())
                if self._settings.webhook and self._settings.webhook_certificate == "Own":
                    group.create_task(self._keep_certificates())
        finally:
            self._leadership = None
            self._liveness.forget()

    # -- the webhook ----------------------------------------------------------------------------------

    async def _serve_webhook(self) -> None:
        from tubepost_operator.webhook.server import serve_webhook  # noqa: PLC0415 - only where it is on

        await serve_webhook(self._settings, self._cluster, serving=self._serves)

    def _serves(self, port: int) -> None:
        self._webhook_port = port

    async def _keep_certificates(self) -> None:
        from tubepost_operator.webhook import rotation  # noqa: PLC0415 - only where it is on

        await rotation.keep_certificates(self._settings, self._cluster)

    # -- health ---------------------------------------------------------------------------------------

    def _live(self) -> tuple[bool, str]:
        silent = self._liveness.silent()
        return (False, f"silent watches: {', '.join(silent)}") if silent else (True, "ok")

    def _ready(self) -> tuple[bool, str]:
        if self._settings.webhook and self._webhook_port is None:
            return False, "the webhook has no certificate yet"
        if self._settings.leader_election:
            if self._election is None or not self._election.reached:
                return False, "the API server has not answered yet"
            if not self._election.leading:
                return True, "standing by"
        if self._leadership is None or not self._leadership.synced:
            return False, "caches are not synced yet"
        if blind := self._leadership.blind:
            return False, blind
        refused = self._leadership.cache.access.names()
        return True, f"leading; refused: {', '.join(refused)}" if refused else "leading"

    # -- metrics --------------------------------------------------------------------------------------

    def _register(self) -> None:
        self._metrics.leader.set_function(lambda: float(self._guard.held))
        self._metrics.watch_age.compute(self._ages)
        self._metrics.watch_refused.compute(self._refused)
        self._metrics.objects.compute(self._objects)
        self._metrics.credential_expiry.compute(self._expiries)

    def _ages(self) -> Iterator[Sample]:
        for name, age in self._liveness.ages().items():
            yield (name,), age

    def _refused(self) -> Iterator[Sample]:
        for name in self._leadership.cache.access.names() if self._leadership is not None else ():
            yield (name,), 1.0

    def _objects(self) -> Iterator[Sample]:
        if self._leadership is not None:
            yield from object_counts(self._leadership.cache)

    def _expiries(self) -> Iterator[Sample]:
        if self._leadership is not None:
            yield from expiries(self._leadership.cache)


def object_counts(cache: Cache) -> Iterator[Sample]:
    """Objects by kind, condition and status."""
    counts: dict[tuple[str, str, str], int] = {}
    for key in cache.keys():  # noqa: SIM118 - a method, no mapping
        for condition in ((cache.get(key) or {}).get("status") or {}).get("conditions") or ():
            label = (key.kind, condition["type"], condition["status"])
            counts[label] = counts.get(label, 0) + 1
    for label, count in sorted(counts.items()):
        yield label, float(count)


def expiries(cache: Cache) -> Iterator[Sample]:
    """When the routes' certificates expire, as Unix time."""
    for key in cache.keys("ApnRoute"):
        ends = ((cache.get(key) or {}).get("status") or {}).get("notAfter")
        if ends:
            with contextlib.suppress(ValueError):
                yield (key.namespace, key.name), unix_time(ends)
