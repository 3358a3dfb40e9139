"""The pipeline of one worker: listener, acceptance, pools and loggers, put together."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from tubepost_api.config import AcceptanceMode
from tubepost_dispatcher.acceptance.context import AcceptanceContext
from tubepost_dispatcher.acceptance.direct import DirectAcceptance
from tubepost_dispatcher.acceptance.follow_ups import FollowUps
from tubepost_dispatcher.acceptance.queued import QueuedAcceptance
from tubepost_dispatcher.bounces.relay_sender import RelaySender
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.config.bundle import Prepared
from tubepost_dispatcher.delivery.debug_listener import DebugListener
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.listeners import DeliveryListener
from tubepost_dispatcher.delivery.metrics_listener import MetricsListener
from tubepost_dispatcher.feeds.delivery_log import DeliveryLog
from tubepost_dispatcher.feeds.loggers import Loggers
from tubepost_dispatcher.feeds.tracing import Tracing
from tubepost_dispatcher.follow_up import KINDS as MAIL_KINDS
from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.server import RestServer
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.partitions import outboxes_path, partition_path
from tubepost_dispatcher.pod_limits.interface import PodLimits
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.mails import Result
from tubepost_dispatcher.queue.operations import Operations
from tubepost_dispatcher.queue_step import Step, StepResult
from tubepost_dispatcher.smtp.server import SmtpServer
from tubepost_dispatcher.worker.pools import Parts, PoolSet
from tubepost_dispatcher.worker.worker_policy import WorkerPolicy
from tubepost_dispatcher.worker.worker_queue import WorkerQueue
from tubepost_runtime.metrics import begin
from tubepost_runtime.threads import in_thread

_LOG = logging.getLogger("tubepost.worker")

STRAGGLING = 60.0
"""Seconds for which one that retires serves those who are led to it all the same."""


HANDED_OVER: Final = 1.0
"""Seconds that webhooks have at the end for events that their outboxes leave to a successor."""


class Worker:
    """One worker's pipeline. Lives on one event loop; every method is called on it.

    Args:
        prepared: the first configuration, checked.
        index: this worker's number, from 0. Worker 0 writes the loggers' heartbeats.
        count: how many workers the pod has.
        metrics: where to count.
        limits: those of the pod; without them this worker is taken for the only one.
        queue_dir: where the partitions of the queue are. It is opened and emptied whatever the mode of
            acceptance; without it there is no queue but on JetStream.
    """

    def __init__(
        self,
        prepared: Prepared,
        metrics: Metrics,
        limits: PodLimits | None = None,
        *,
        index: int = 0,
        count: int = 1,
        queue_dir: Path | None = None,
    ) -> None:
        self.metrics = metrics
        self.index = index
        self.count = count
        self.prepared = prepared
        self._started = time.time()
        config = prepared.config
        self._pools = PoolSet(metrics, limits, index=index, count=count)
        self._loggers = Loggers(
            config.loggers,
            config.name,
            metrics,
            heartbeats=index == 0,
            namespace=config.namespace,
            webhooks=prepared.webhooks,
            outboxes=None if queue_dir is None else outboxes_path(queue_dir),
        )
        active = self._pools.build(prepared)
        log = DeliveryLog(self._loggers, time.time)
        self._journal = Journal(None if queue_dir is None else partition_path(queue_dir, index))
        resource = {
            "service.name": "tubepost-dispatcher",
            "service.instance.id": f"{socket.gethostname()}/{index}",
            "tubepost.push_domain": config.name,
            "k8s.namespace.name": config.namespace,
        }
        self._tracing = Tracing(
            resource, lambda result, count: metrics.trace_spans.labels(result).inc(count), wall=time.time
        )
        self._listeners = (MetricsListener(metrics), log, self._journal)
        """Those that have something to do with every notification."""
        self._deliverer = Deliverer(active.domains, self._listeners, metrics)
        self._policy = WorkerPolicy(self._deliverer, metrics, config.policy)
        self._context = AcceptanceContext(log, metrics, self._journal, self._tracing)
        begin(metrics.bounces, MAIL_KINDS, get_args(Result))
        self._reports = Reports(lambda kind: metrics.bounces.labels(kind, "no_relay").inc())
        self._sender = RelaySender()
        self._set_relay(prepared)
        self._queue: WorkerQueue | None = None
        self._queued: QueuedAcceptance | None = None
        if queue_dir is not None or prepared.jet_stream is not None:
            self._queue = WorkerQueue(
                queue_dir,
                index,
                self._deliverer,
                active.domains,
                metrics,
                self._journal,
                config.queue,
                count,
                self._reports,
                self._sender,
                self._loggers.make_durable,
                prepared.jet_stream,
            )
            self._queued = QueuedAcceptance(active, self._deliverer, self._context, self._queue.bounded)
        bounded = None if self._queue is None else self._queue.bounded
        follow_ups = FollowUps(self._reports, self._sender, metrics, self._journal)
        self._direct = DirectAcceptance(active, self._deliverer, self._context, bounded, follow_ups)
        queue = None if self._queue is None else self._queue.queue
        self._operations = Operations(queue, self._journal, queue_dir)
        self._server = SmtpServer(
            config.listener,
            self._acceptance,
            metrics,
            tls=prepared.starttls,
            users=prepared.users,
            limits=limits,
        )
        self._rest: RestServer[Domain] = RestServer(metrics)
        self._rest.update(self._rest_config())
        self._serving = False
        self._retirement: asyncio.Task[None] | None = None
        self._told_holds: set[tuple[str, str]] = set()
        self._tell()
        self._describe_config()

    @property
    def _acceptance(self) -> DirectAcceptance | QueuedAcceptance:
        """What new transactions are taken by; one that is open ends with what it began with."""
        if self.prepared.config.acceptance.mode is AcceptanceMode.DIRECT:
            return self._direct
        if self._queued is None:
            raise ValueError("acceptance.mode is Queued and there is no directory for the queue")
        return self._queued

    @property
    def open_messages(self) -> int:
        """Messages between the end of DATA and the reply."""
        return self._context.open

    async def serve(self, sockets: Sequence[socket.socket], rest: Sequence[socket.socket] = ()) -> None:
        """Accept on exactly these listening sockets from now on; open sessions are not concerned.

        Args:
            sockets: SMTP's.
            rest: for requests.
        """
        if self._serving:
            await self._server.serve(sockets)
        else:
            self._serving = True
            await self._server.start(sockets)
        await self._rest.serve(rest)

    async def apply(self, prepared: Prepared, count: int) -> None:
        """Put another configuration in force; sessions stay, pools are replaced only where they must be.

        Messages are served meanwhile, by the configuration before. One at a time; where it fails, or is
        cancelled, that one stays.

        Args:
            prepared: the checked configuration.
            count: how many workers the pod has from now on.
        """
        self._pools.set_count(count)
        contexts = self._pools.contexts
        names = () if self._queue is None else self._queue.queue.domains
        parts = await in_thread(lambda: Parts.of(prepared, contexts, names), "configuration")
        active = await self._pools.build_in_slices(prepared, parts)
        # Nothing is awaited from here on: all of it is swapped between two transactions.
        self.prepared = prepared
        self.count = count
        config = prepared.config
        self._loggers.update(config.loggers, config.name, prepared.webhooks)
        self._deliverer.swap(active.domains)
        self._policy.update(config.policy)
        self._set_relay(prepared)
        if self._queue is not None:
            self._queue.swap(active.domains, config.queue, count, prepared.jet_stream)
        self._direct.swap(active)
        if self._queued is not None:
            self._queued.swap(active)
        self._server.update(
            config.listener,
            tls=prepared.starttls,
            users=prepared.users,
            acceptance=self._acceptance,
        )
        self._rest.update(self._rest_config())
        self._tell()
        self._describe_config()

    def _tell(self) -> None:
        self._tracing.update(self.prepared.config.tracing)
        listeners: list[DeliveryListener] = [*self._listeners]
        if DebugListener.wanted():
            listeners.append(DebugListener())
        if self._tracing.on:
            listeners.append(self._tracing)
        self._deliverer.listeners = tuple(listeners)
        self._server.tell_closed(self._tracing.session_ended if self._tracing.on else None)

    def _rest_config(self) -> EffectiveRest[Domain] | None:
        rest = self.prepared.rest
        if rest is None:
            return None
        networks = self.prepared.config.listener.allowed_networks
        return EffectiveRest(rest.config, self._acceptance, rest.tokens, networks, rest.tls)

    def _set_relay(self, prepared: Prepared) -> None:
        relay, hostname = prepared.bounce_relay, prepared.config.listener.hostname
        self._reports.swap(hostname, relay=relay is not None)
        if relay is None:
            self._sender.swap(None, None, None, hostname)
        else:
            self._sender.swap(relay.config, relay.auth, relay.tls, hostname)

    def adopt(self, slots: Sequence[int]) -> None:
        """Empty the partitions of these slots of the queue beside the own one."""
        if self._queue is not None:
            self._queue.adopt(slots)

    def queue_state(self) -> tuple[Mapping[int, str], str]:
        """What is wrong with each partition of the queue, and why no message can be taken now; or empty."""
        if self._queue is None:
            return {}, ""
        failure = None
        if self.prepared.config.acceptance.mode is AcceptanceMode.QUEUED:
            failure = self._queue.queue.failure
        return self._queue.problems, f"the queue: {failure.text}" if failure is not None else ""

    async def prepared_to_accept(self, patience: float) -> None:
        """Wait until messages can be taken, at most `patience` seconds."""
        if self._queue is not None and self.prepared.config.acceptance.mode is AcceptanceMode.QUEUED:
            await self._queue.opened(patience)

    def _describe_config(self) -> None:
        self.metrics.config_generation.set(self.prepared.config.generation)
        self.metrics.config_info.clear()
        self.metrics.config_info.labels(self.prepared.digest).set(1)

    def changed_holds(self) -> list[tuple[str, str, str, str, float]]:
        """Route, mark of its credential, reason (empty: released), sentence, seconds: what changed since."""
        holds = self._pools.holds()
        changes = [(*key, *hold) for key, hold in holds.items() if key not in self._told_holds]
        changes += [(*key, "", "", 0.0) for key in self._told_holds - holds.keys()]
        self._told_holds = set(holds)
        return changes

    def adopt_hold(self, route: str, credential: str, reason: str, detail: str, seconds: float) -> None:
        """Hold (or release) a route because another worker of the pod does: the breaker is the pod's."""
        self._pools.adopt_hold(route, credential, reason, detail, seconds)
        # What was heard is not told again; what this worker has found out itself is still to be told.
        key = (route, credential)
        if key in self._pools.holds():
            self._told_holds.add(key)
        else:
            self._told_holds.discard(key)

    def set_retiring(self, retiring: bool, after: float = 0.0) -> None:
        """Take no sessions any more, and end those that are open; or take them again. The queue goes on.

        Args:
            retiring: the former.
            after: seconds until then: those who connect have to learn first that others take the mail.
        """
        if not retiring:
            if self._retirement is not None:
                self._retirement.cancel()
            self._retirement = None
            self._server.set_retiring(False)
            self._rest.set_retiring(False)
            self.metrics.retiring.set(0)
        elif self._retirement is None:
            self._retirement = asyncio.get_running_loop().create_task(self._retire(after))

    async def _retire(self, after: float) -> None:
        await asyncio.sleep(after)
        await self.leave(STRAGGLING)
        self._server.set_retiring(True)
        self._rest.set_retiring(True)
        self.metrics.retiring.set(1)

    async def leave(self, at_most: float) -> None:
        """End sessions; serve whoever still comes, until nobody does, at most `at_most` seconds."""
        await asyncio.gather(self._server.leave(at_most), self._rest.leave(at_most))

    def set_overloaded(self, overloaded: bool) -> None:
        """Refuse new sessions and requests while memory or the number of open messages is too high."""
        self._server.set_overloaded(overloaded)
        self._rest.set_overloaded(overloaded)

    def reopen_logs(self) -> None:
        """Reopen log files (after an external rotation)."""
        self._loggers.reopen()

    async def drain(self, grace: float, *, last: bool = True) -> int:
        """Stop accepting, finish transactions, await answers, close everything.

        Args:
            grace: seconds for all of it.
            last: the volume of the queue goes with the dispatcher; else what is in it has a successor.

        Returns:
            The number of sessions that had to be cut.
        """
        end = time.monotonic() + grace
        if self._retirement is not None:
            self._retirement.cancel()
        try:
            cut = sum(await asyncio.gather(self._server.drain(grace), self._rest.drain(grace)))
            if self._queue is not None:
                await self._queue.drain(max(0.1, end - time.monotonic()), last=last)
            await self._pools.close(max(0.1, end - time.monotonic()))
            await self._policy.close(max(0.1, end - time.monotonic()))
            await self._context.close(max(0.1, end - time.monotonic()))
            await self._sender.close(max(0.1, end - time.monotonic()))
            # What an outbox keeps has a successor, too.
            most = grace if last or self._queue is None else HANDED_OVER
            await self._loggers.finish(max(0.5, min(most, end - time.monotonic())), last=last)
            await self._tracing.close()
        finally:
            if self._queue is not None:
                await self._queue.close()
            await self._journal.close()
            self._loggers.close()
        return cut

    async def operate(self, step: Step) -> StepResult:
        """Do one step of a request about the queue."""
        return await self._operations.do(step)

    def status(self) -> dict[str, Any]:
        """Live facts, for /status."""
        return {
            "worker": self.index,
            "pid": os.getpid(),
            "uptimeSeconds": round(time.time() - self._started, 1),
            "configHash": self.prepared.digest,
            "configGeneration": self.prepared.config.generation,
            "sessions": self._server.sessions,
            "restConnections": self._rest.connections,
            "openMessages": self.open_messages,
            "pools": self._pools.status(),
            "queue": None if self._queue is None else self._queue.status(),
            "policy": self._policy.status(),
            "loggerProblems": self._loggers.problems(),
        }
