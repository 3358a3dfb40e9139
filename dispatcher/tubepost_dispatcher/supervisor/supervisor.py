"""The supervisor: owns sockets, configuration, endpoints and totals; runs the workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from prometheus_client import CollectorRegistry

from tubepost_api.problems import Problem
from tubepost_dispatcher.channel import pack_bundle
from tubepost_dispatcher.config.bundle import Prepared, prepare
from tubepost_dispatcher.config.source import ConfigSource
from tubepost_dispatcher.http import AdminEndpoint
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.cgroup import MEMORY_SHARE, default_workers, memory_limit
from tubepost_dispatcher.supervisor.levels import Change, Level, compare
from tubepost_dispatcher.supervisor.reload_status import ReloadStatus, iso
from tubepost_dispatcher.supervisor.sockets import ListenerSockets
from tubepost_dispatcher.supervisor.watch import INTERVAL, Settler, look
from tubepost_dispatcher.supervisor.worker_pool import WorkerPool
from tubepost_dispatcher.totals import Totals, take_snapshot
from tubepost_runtime.endpoints import ProcessEndpoints

_T = TypeVar("_T")

LINGER = 2.0
"""Seconds for which a port that was given up is served on."""

_LOG = logging.getLogger("tubepost.supervisor")


class ConfigRefused(Exception):
    """There is no configuration to start with; `problems` says why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Where to listen and how to behave; what a configuration cannot know.

    `workers` 0: as the configuration says, or by the CPU limit. `smtp_port` None: the configuration's.
    `strict`: refuse to start with credentials that cannot be read (else their routes are held).
    """

    smtp_host: str = "127.0.0.1"
    smtp_port: int | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 9090
    admin_port: int = 9091
    workers: int = 0
    grace: float = 25.0
    strict: bool = True
    watch: bool = True
    log_format: Literal["text", "json"] = "text"


class Supervisor:
    """Runs a dispatcher. `start`, then `wait`; `drain` or `stop_now` ends it."""

    def __init__(self, source: ConfigSource, settings: SupervisorSettings) -> None:
        self._source = source
        self._settings = settings
        self._metrics = Metrics()
        self._totals = Totals()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._totals)
        self._pool = WorkerPool(self._totals, self._metrics, self._message, settings.grace)
        self._prepared: Prepared | None = None
        self._sockets: ListenerSockets | None = None
        self._old_sockets: list[ListenerSockets] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._draining = False
        self.exit_code = 0
        """0 after an orderly end, 1 when sessions were cut."""
        self._ended = asyncio.Event()
        self._settler = Settler(())
        self._started_at = time.time()
        self._reload_status = ReloadStatus(self._metrics)
        self._warnings: tuple[Problem, ...] = ()
        self._tolerated: frozenset[tuple[str, str, str]] = frozenset()
        """What the configuration in force lacks since a lenient start."""
        self._waiting_reload: asyncio.Task[Change | None] | None = None
        self._public = ProcessEndpoints(
            settings.http_host, settings.http_port, self._collect, lambda: (True, ""), self._ready
        )
        self._admin = AdminEndpoint("127.0.0.1", settings.admin_port, self._status)

    # -- facts ----------------------------------------------------------------------------------------

    @property
    def smtp_port(self) -> int:
        """The port that the listener has."""
        assert self._sockets is not None
        return self._sockets.port

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
        return self._warnings

    # -- life -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the configuration, bind, start the workers, watch.

        Raises:
            ConfigRefused: the configuration has errors.
            OSError: an address cannot be bound.
            WorkerFailed: a worker did not get ready.
        """
        try:
            await self._start()
        except BaseException:
            # Cancelled by a signal, or failed: nothing that was begun is left behind.
            if not self._draining:
                self._draining = True
                self._close_sockets()
                await self._end_workers()
            await self._close()
            raise

    async def _start(self) -> None:
        self._settler = Settler(look(self._source.paths))
        loaded = await asyncio.to_thread(self._source.load)
        if loaded.bundle is None:
            raise ConfigRefused(tuple(p for p in loaded.problems if p.severity == "error"))
        prepared, found = prepare(loaded.bundle, time.time())
        problems = loaded.locate(found)
        if problems and self._settings.strict:
            raise ConfigRefused(problems)
        self._warnings = (*loaded.problems, *loaded.locate(prepared.warnings))
        for problem in (*self._warnings, *problems):
            _LOG.warning("%s", problem)
        self._prepared = prepared
        self._tolerated = _places(problems)
        if problems:
            self._reload_status.lacks(problems, prepared.digest)
        count = self._wanted_workers(prepared)
        self._bind(prepared, count)
        assert self._sockets is not None
        await self._public.start()
        await self._admin.start()
        await self._pool.start(self._sockets, count)
        self._reload_status.started(prepared, count)
        if self._settings.watch:
            self._spawn(self._watch())

    def _bind(self, prepared: Prepared, count: int) -> None:
        port = self._settings.smtp_port
        sockets = ListenerSockets(
            self._settings.smtp_host, prepared.config.listener.port if port is None else port
        )
        self._sockets = sockets  # closed at the end, also when the next step fails
        sockets.ensure(count)

    def _wanted_workers(self, prepared: Prepared) -> int:
        wanted = self._settings.workers or prepared.config.workers or default_workers()
        # Every worker needs at least one connection of its own, and the figure is the pod's.
        limits = [entry.delivery.max_outbound_connections for entry in prepared.config.entries]
        connections = min((limit for limit in limits if limit), default=wanted)  # 0: no limit
        if connections < wanted:
            _LOG.info("%d workers instead of %d: maxOutboundConnections is per pod", connections, wanted)
        return max(1, min(wanted, connections))

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self._draining

    async def wait(self) -> None:
        """Wait until the dispatcher has ended."""
        await self._ended.wait()

    async def drain(self) -> int:
        """End in order: stop accepting, finish transactions, close connections.

        Returns:
            The number of sessions that were cut because the grace period was over.
        """
        if self._draining:
            await self._ended.wait()
            return 0
        self._draining = True
        _LOG.info("draining: at most %.0f s", self._settings.grace)
        # A new connection shall be refused, and go elsewhere, rather than wait for somebody to accept it:
        # the workers' duplicates of these sockets go as they stop accepting.
        self._close_sockets()
        cut = await self._end_workers()
        await self._close()
        return cut

    async def _end_workers(self) -> int:
        cut, killed = await self._pool.drain()
        if cut or killed:
            self.exit_code = 1
            _LOG.warning("drained: %d sessions were cut, %d workers were killed", cut, killed)
        else:
            _LOG.info("drained: nothing was cut")
        return cut

    async def stop_now(self) -> None:
        """End at once: workers are killed. May be called at any time, during `start` or `drain` too."""
        self._draining = True
        self.exit_code = 1
        await self._pool.kill()
        await self._close()

    async def _close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()
        await self._public.stop()
        await self._admin.stop()
        self._close_sockets()
        self._ended.set()

    def _close_sockets(self) -> None:
        for sockets in (self._sockets, *self._old_sockets):
            if sockets is not None:
                sockets.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- workers --------------------------------------------------------------------------------------

    def _message(self) -> dict[str, Any]:
        prepared = self.prepared
        limit = memory_limit()
        return {
            **pack_bundle(prepared.bundle),
            "count": self._pool.count,
            "logLevel": prepared.config.log_level,
            "logFormat": self._settings.log_format,
            "memoryLimit": int(limit * MEMORY_SHARE / self._pool.count),
            "lenient": bool(self._tolerated),
        }

    # -- configuration --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL if not self._settler.restless else INTERVAL / 4)
            if self._settler.observe(look(self._source.paths), loop.time()):
                await self.reload()

    async def reload(self) -> Change | None:
        """Read the configuration anew and put it in force at the smallest level; None when refused.

        Calls that come while one waits for its turn share its result: it has not read anything yet.
        """
        if self._draining or self._prepared is None:
            return None
        if self._waiting_reload is None:
            self._waiting_reload = self._spawn(self._reload())
        return await asyncio.shield(self._waiting_reload)

    async def _reload(self) -> Change | None:
        async with self._pool.changing:
            self._waiting_reload = None
            if self._draining:
                return None
            try:
                return await self._reload_now()
            except Exception as error:  # noqa: BLE001 - whatever it is, the watch goes on and the old one serves
                _LOG.exception("the configuration could not be put in force")
                self._reload_status.refuse(
                    (self._problem("", f"cannot be put in force: {error!r}", "see the log"),)
                )
                return None

    async def _reload_now(self) -> Change | None:
        loaded = await asyncio.to_thread(self._source.load)
        if loaded.bundle is None:
            self._reload_status.refuse(tuple(p for p in loaded.problems if p.severity == "error"))
            return None
        prepared, found = prepare(loaded.bundle, time.time())
        problems = loaded.locate(found)
        # What could not be read at a lenient start does not keep the rest from changing; what could be read
        # must not be lost.
        places = _places(problems)
        if not places <= self._tolerated or prepared.loses_users_of(self.prepared):
            self._reload_status.refuse(problems, prepared.digest)
            return None
        change = await self._apply(prepared)
        if change is not None:
            self._warnings = (*loaded.problems, *loaded.locate(prepared.warnings))
            self._tolerated = places
            if problems:
                self._reload_status.lacks(problems, prepared.digest)
        return change

    async def _apply(self, prepared: Prepared) -> Change | None:
        old, old_count = self.prepared, self._pool.count
        count = self._wanted_workers(prepared)
        change = compare(old, prepared, old_count, count)
        if change.level is Level.NONE:
            self._reload_status.unchanged()
            return change
        if prepared.config.generation <= old.config.generation:
            prepared = _with_generation(prepared, old.config.generation + 1)
        before = self._sockets
        sockets = self._sockets_for(prepared, count)
        if sockets is None:
            return None
        self._prepared = prepared
        self._sockets = sockets
        await self._pool.change(sockets, count)
        if before is not None and before is not sockets:
            self._old_sockets.append(before)
            self._spawn(self._let_go(before))
        self._reload_status.applied(prepared, change, count)
        return change

    def _sockets_for(self, prepared: Prepared, count: int) -> ListenerSockets | None:
        """The listening sockets for a configuration; None when it was refused for their sake."""
        assert self._sockets is not None
        port = prepared.config.listener.port
        sockets, fresh = self._sockets, False
        if self._settings.smtp_port is None and port != sockets.port:
            kept = next((old for old in self._old_sockets if old.port == port), None)
            sockets, fresh = kept or ListenerSockets(self._settings.smtp_host, port), kept is None
        try:
            sockets.ensure(count)
        except OSError as error:
            if fresh:
                sockets.close()
            message = f"port {sockets.port} cannot be bound: {error.strerror}"
            problem = self._problem("spec.listener.port", message, "choose a free port")
            self._reload_status.refuse((problem,), prepared.digest)
            return None
        if sockets in self._old_sockets:
            self._old_sockets.remove(sockets)
        return sockets

    async def _let_go(self, sockets: ListenerSockets) -> None:
        """Close sockets of a port that was given up, once those who were connecting have been served."""
        await asyncio.sleep(LINGER)
        async with self._pool.changing:
            if sockets in self._old_sockets:
                self._old_sockets.remove(sockets)
                self._pool.forget(sockets)
                sockets.close()

    def _problem(self, field: str, message: str, remedy: str) -> Problem:
        config = self.prepared.config
        return Problem(
            severity="error",
            origin="",
            kind="PushDomain",
            namespace=config.namespace,
            name=config.name,
            field=field,
            message=message,
            remedy=remedy,
        )

    async def reload_and_reopen(self) -> None:
        """SIGHUP: read the configuration anew, open log files anew."""
        if self._draining:
            return
        self._pool.reopen_logs()
        await self.reload()

    # -- endpoints ------------------------------------------------------------------------------------

    async def _collect(self) -> CollectorRegistry:
        await self._pool.snapshots()
        self._totals.update("supervisor", take_snapshot(self._metrics.registry))
        return self._registry

    def _ready(self) -> tuple[bool, str]:
        if self._draining:
            return False, "draining"
        if not self._pool.any_ready:
            return False, "no worker is ready"
        # Of several replicas, those that have what they need shall get the messages, and a roll shall not
        # replace them with this one.
        if self.prepared.obstacle:
            return False, self.prepared.obstacle
        return True, "ok"

    async def _status(self) -> Mapping[str, Any]:
        prepared = self.prepared
        ready, reason = self._ready()
        return {
            "pushDomain": prepared.config.name,
            "namespace": prepared.config.namespace,
            "ready": ready,
            "reason": reason,
            "startedAt": iso(self._started_at),
            "smtp": {"host": self._settings.smtp_host, "port": self.smtp_port},
            "config": {
                "generation": prepared.config.generation,
                "hash": prepared.digest,
                "warnings": [str(problem) for problem in self._warnings],
                **self._reload_status.status(),
            },
            "workers": await self._pool.snapshots(),
        }


def _with_generation(prepared: Prepared, generation: int) -> Prepared:
    config = prepared.config.model_copy(update={"generation": generation})
    bundle = type(prepared.bundle)(config, prepared.bundle.secrets)
    return replace(prepared, bundle=bundle)


def _places(problems: Iterable[Problem]) -> frozenset[tuple[str, str, str]]:
    """What is concerned by problems: kind, name and field."""
    return frozenset((problem.kind, problem.name, problem.field) for problem in problems)
