"""The supervisor: owns sockets, configuration, endpoints and totals; runs the workers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from tubepost_api.problems import Problem
from tubepost_dispatcher import build_info
from tubepost_dispatcher.admin import AdminEndpoint
from tubepost_dispatcher.channel.messages import Configuration
from tubepost_dispatcher.config.bundle import Prepared
from tubepost_dispatcher.config.source import ConfigSource
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.cgroup import default_workers, memory_limit, memory_of_a_worker
from tubepost_dispatcher.supervisor.config_change import Change, Level, compare
from tubepost_dispatcher.supervisor.forking import ForkedWorkers
from tubepost_dispatcher.supervisor.launch import launch_process
from tubepost_dispatcher.supervisor.ports import CannotListen, ListeningPorts
from tubepost_dispatcher.supervisor.queue_directory import QueueDirectory
from tubepost_dispatcher.supervisor.queue_operations import QueueOperations
from tubepost_dispatcher.supervisor.queue_volume import QueueVolume
from tubepost_dispatcher.supervisor.reload import ConfigRefused, Reloader
from tubepost_dispatcher.supervisor.reload_status import ReloadStatus, iso
from tubepost_dispatcher.supervisor.settings import SupervisorSettings, retires, unservable
from tubepost_dispatcher.supervisor.sockets import ListenerSockets, binding
from tubepost_dispatcher.supervisor.worker_pool import WorkerPool
from tubepost_dispatcher.totals import Totals, take_samples
from tubepost_runtime import process_log
from tubepost_runtime.addresses import LOOPBACK
from tubepost_runtime.endpoints import ProcessEndpoints
from tubepost_runtime.proxy_variables import proxy_variables
from tubepost_runtime.tasks import TaskSet

__all__ = ["ConfigRefused", "Supervisor", "SupervisorSettings"]

LINGER = 2.0
"""Seconds for which a port is still served after it was given up."""

_LOG = logging.getLogger("tubepost.supervisor")


class Supervisor:
    """Runs a dispatcher. `start`, then `wait`; `drain` or `stop_now` ends it.

    Args:
        source: of its configuration.
        settings: where to listen and how to behave.
        forked: forks the workers; without it each is started as a program.
    """

    def __init__(
        self, source: ConfigSource, settings: SupervisorSettings, forked: ForkedWorkers | None = None
    ) -> None:
        self._settings = settings
        self._forked = forked
        self._metrics = Metrics()
        self._totals = Totals()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._totals)
        self._pool = WorkerPool(
            self._totals,
            self._metrics,
            self._configuration,
            settings.grace,
            in_process=settings.in_process,
            queue_dir=settings.queue_dir,
            loses_queue=settings.loses_queue,
            launch=launch_process if forked is None else forked.launch,
        )
        self._queue: QueueDirectory | None = None
        if settings.queue_dir is not None:
            self._queue = QueueDirectory(
                settings.queue_dir,
                self._metrics,
                lambda: self._pool.partitions,
                self._pool.set_partitions,
                clock=time.monotonic,
            )
        self._prepared: Prepared | None = None
        self._ports = ListeningPorts(settings)
        self._tasks = TaskSet()
        self._draining = False
        self.exit_code = 0
        """0 after an orderly end, 1 when sessions were cut."""
        self._ended = asyncio.Event()
        self._started_at = time.time()
        self._reload_status = ReloadStatus(self._metrics)
        self._reloader = Reloader(
            source,
            self._reload_status,
            lambda: self.prepared,
            self._apply,
            self._pool.changing,
            self._tasks,
            lambda config: unservable(config, settings),
        )
        self._public = ProcessEndpoints(
            settings.http_host, settings.http_port, self._collect, self._live, self._ready
        )
        queue = QueueOperations(
            lambda: self._pool.serving, lambda: self._queue.orphaned if self._queue is not None else ()
        )
        self._admin = AdminEndpoint(LOOPBACK, settings.admin_port, self._status, queue=queue)
        self._volume = QueueVolume(settings.queue_dir, self._metrics) if settings.queue_dir else None

    # -- state ----------------------------------------------------------------------------------------

    @property
    def smtp_port(self) -> int:
        """The port that the listener has."""
        return self._ports.port()

    @property
    def rest_port(self) -> int:
        """The port for requests, 0 without."""
        return self._ports.port(rest=True)

    @property
    def http_port(self) -> int:
        """The port of metrics and health."""
        return self._public.port

    @property
    def admin_port(self) -> int:
        """The port of /status, on loopback."""
        return self._admin.port

    @property
    def prepared(self) -> Prepared:
        """The configuration in force."""
        assert self._prepared is not None
        return self._prepared

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is doubtful about the configuration in force."""
        return self._reloader.warnings

    # -- start and end --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the configuration, bind, start the workers, watch.

        Raises:
            ConfigRefused: the configuration has errors.
            CannotBind: an address cannot be bound.
            WorkerFailed: a worker did not get ready.
        """
        process_log.on_lost(self._metrics.process_log_lines_lost.inc)
        self._metrics.build_info.labels(*build_info.labels()).set(1)
        _LOG.info("tubepost %s", build_info.line())
        try:
            await self._start()
        except BaseException:
            # Failed, or cancelled by a signal: leave nothing running.
            if not self._draining:
                self._mark_draining()
                self._ports.close()
                await self._end_workers(quiet=True)
            await self._close()
            raise

    async def _start(self) -> None:
        prepared = self._prepared = await self._reloader.first(strict=self._settings.strict)
        if names := proxy_variables(os.environ):
            _LOG.info("%s is not used: spec.proxy of an ApnRoute names its proxy", ", ".join(names))
        count, settings = self._wanted_workers(prepared), self._settings
        self._ports.bind(prepared.config, count)
        with binding(
            "the endpoint of metrics and health", settings.http_host, settings.http_port, "--http-port"
        ):
            await self._public.start()
        with binding("the endpoint of status and queue", LOOPBACK, settings.admin_port, "--admin-port"):
            await self._admin.start()
        self._reload_status.describe(prepared, count)
        await self._pool.start(self._ports.current, count)
        self._reload_status.started(prepared, count)
        if self._queue is not None:
            self._tasks.spawn(self._queue.watch())
        if self._volume is not None:
            self._tasks.spawn(self._volume.watch())
        if self._settings.watch:
            self._tasks.spawn(self._reloader.watch())

    def _wanted_workers(self, prepared: Prepared) -> int:
        if self._settings.in_process:
            return 1
        wanted = self._settings.workers or prepared.config.workers or default_workers()
        # Every worker needs at least one connection of its own, and the figure is the pod's.
        limits = [entry.delivery.max_outbound_connections for entry in prepared.config.entries]
        connections = min((limit for limit in limits if limit), default=wanted)  # 0: no limit
        if connections < wanted:
            _LOG.info("workers: %d instead of %d, maxOutboundConnections is per pod", connections, wanted)
        return max(1, min(wanted, connections))

    @property
    def draining(self) -> bool:
        """Whether the dispatcher is ending."""
        return self._draining

    async def wait(self) -> None:
        """Wait until the dispatcher has ended."""
        await self._ended.wait()

    async def drain(self) -> int:
        """End in order: serve those who still come, stop accepting, finish transactions, close connections.

        Returns:
            The number of sessions that were cut because the grace period was over.
        """
        if self._draining:
            await self._ended.wait()
            return 0
        self._mark_draining()
        _LOG.info("draining: at most %.0f s", self._settings.grace)
        began = time.monotonic()
        if self._settings.linger:
            # Half the time is for messages that are under way, and for the queue.
            await self._pool.leave(min(self._settings.linger, self._settings.grace / 2))
        # New connections are to be refused, and go elsewhere, instead of waiting in a backlog. The workers
        # close their duplicates of these sockets as they stop accepting.
        self._ports.close()
        cut = await self._end_workers(time.monotonic() - began)
        await self._close()
        return cut

    async def _end_workers(self, spent: float = 0.0, *, quiet: bool = False) -> int:
        cut, killed = await self._pool.drain(spent)
        if cut or killed:
            self.exit_code = 1
            _LOG.warning("drained: sessions cut: %d, workers killed: %d", cut, killed)
        elif not quiet:
            _LOG.info("drained: nothing was cut")
        return cut

    async def stop_now(self) -> None:
        """End at once: workers are killed. May be called at any time, during `start` or `drain` too."""
        self._mark_draining()
        self.exit_code = 1
        await self._pool.kill()
        await self._close()

    async def _close(self) -> None:
        await self._tasks.cancel()
        await self._pool.close()
        if self._forked is not None:
            await self._forked.close()
        await self._public.stop()
        await self._admin.stop()
        self._ports.close()
        self._ended.set()

    def _mark_draining(self) -> None:
        self._draining = True
        self._reloader.stop()

    # -- workers --------------------------------------------------------------------------------------

    def _configuration(self) -> Configuration:
        prepared = self.prepared
        return Configuration(
            prepared.bundle.config,
            prepared.bundle.secrets,
            workers=self._pool.count,
            memory_limit=memory_of_a_worker(memory_limit(), self._pool.count),
            log_format=self._settings.log_format,
            lenient=self._reloader.lenient,
            retiring=retires(prepared.config, self._settings),
            retire_after=self._settings.retire_after,
        )

    # -- configuration --------------------------------------------------------------------------------

    async def reload(self) -> Change | None:
        """Reload the configuration and put it in force at the smallest level; None when refused."""
        if self._prepared is None:
            return None
        return await self._reloader.reload()

    async def _apply(self, prepared: Prepared) -> Change | None:
        old, old_count = self.prepared, self._pool.count
        count = self._wanted_workers(prepared)
        change = compare(old, prepared, old_count, count)
        if change.level is Level.NONE:
            self._reload_status.unchanged()
            return change
        if prepared.config.generation <= old.config.generation:
            prepared = _with_generation(prepared, old.config.generation + 1)
        ports = self._ports.for_config(prepared.config, count)
        if isinstance(ports, CannotListen):
            self._reload_status.refuse_for(*ports, "choose a free port", prepared.digest)
            return None
        self._prepared = prepared
        given_up = self._ports.change(ports)
        await self._pool.change(ports, count)
        for sockets in given_up:
            self._tasks.spawn(self._close_later(sockets))
        self._reload_status.applied(prepared, change, count)
        return change

    async def _close_later(self, sockets: ListenerSockets) -> None:
        """Close the sockets of a port that was given up, after connections in their backlog were accepted."""
        await asyncio.sleep(LINGER)
        async with self._pool.changing:
            if self._ports.forget(sockets):
                self._pool.forget(sockets)
                sockets.close()

    async def reload_and_reopen(self) -> None:
        """SIGHUP: reload the configuration, reopen log files."""
        if self._draining:
            return
        self._pool.reopen_logs()
        await self.reload()

    # -- endpoints ------------------------------------------------------------------------------------

    async def _collect(self) -> CollectorRegistry:
        await self._pool.statuses()
        self._totals.update("supervisor", take_samples(self._metrics.registry))
        return self._registry

    def _live(self) -> tuple[bool, str]:
        alive = self._pool.alive
        return alive, "" if alive else "no worker's event loop turns"

    def _ready(self) -> tuple[bool, str]:
        if self._draining:
            return False, "draining"
        if retires(self.prepared.config, self._settings):
            return False, "retiring: the queue is being emptied"
        obstacle = self._pool.obstacle
        if obstacle:
            return False, obstacle
        # Messages go to replicas that have what they need, and a rollout must not replace those by this one.
        if self.prepared.obstacle:
            return False, self.prepared.obstacle
        if self._volume is not None and (obstacle := self._volume.obstacle(self.prepared.config)):
            return False, obstacle
        return True, "ok"

    async def _status(self) -> Mapping[str, Any]:
        prepared = self.prepared
        ready, reason = self._ready()
        return {
            "build": build_info.line(),
            "pushDomain": prepared.config.name,
            "namespace": prepared.config.namespace,
            "ready": ready,
            "reason": reason,
            "startedAt": iso(self._started_at),
            "smtp": {"host": self._settings.smtp_host, "port": self.smtp_port},
            "rest": {"host": self._settings.smtp_host, "port": self.rest_port} if self.rest_port else None,
            "config": {
                "generation": prepared.config.generation,
                "hash": prepared.digest,
                "warnings": [str(problem) for problem in self.warnings],
                **self._reload_status.status(),
            },
            "queue": self._queue.status() if self._queue is not None else None,
            "workers": await self._pool.statuses(),
        }


def _with_generation(prepared: Prepared, generation: int) -> Prepared:
    config = prepared.config.model_copy(update={"generation": generation})
    return replace(prepared, bundle=replace(prepared.bundle, config=config))
