"""The supervisor: owns sockets, configuration, endpoints and totals; keeps one worker in every slot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from tubepost_api.problems import Problem
from tubepost_dispatcher.channel import pack_bundle
from tubepost_dispatcher.config.bundle import Prepared, prepare
from tubepost_dispatcher.config.source import ConfigSource
from tubepost_dispatcher.http import AdminEndpoint, PublicEndpoints
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.levels import Change, Level, compare
from tubepost_dispatcher.supervisor.resources import MEMORY_SHARE, default_workers, memory_limit
from tubepost_dispatcher.supervisor.roster import Roster
from tubepost_dispatcher.supervisor.sockets import ListenerSockets
from tubepost_dispatcher.supervisor.watch import INTERVAL, Settler, look
from tubepost_dispatcher.totals import Totals, take_snapshot

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
        self._roster = Roster(self._totals, self._metrics, self._message, settings.grace)
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
        self._applied_at = 0.0
        self._last_change = Change(Level.NONE, ())
        self._refused: dict[str, Any] | None = None
        self._warnings: tuple[Problem, ...] = ()
        self._public = PublicEndpoints(
            settings.http_host,
            settings.http_port,
            self._render,
            lambda: True,
            self._ready,
            openmetrics_text=self._render_openmetrics,
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
        self._settler = Settler(look(self._source.paths))
        loaded = await asyncio.to_thread(self._source.load)
        if loaded.bundle is None:
            raise ConfigRefused(tuple(p for p in loaded.problems if p.severity == "error"))
        prepared, found = prepare(loaded.bundle)
        problems = loaded.locate(found)
        if problems and self._settings.strict:
            raise ConfigRefused(problems)
        self._warnings = loaded.problems
        for problem in (*loaded.problems, *problems):
            _LOG.warning("%s", problem)
        self._prepared = prepared
        if problems:
            self._note_refusal(problems)
        count = self._wanted_workers(prepared)
        self._sockets = self._bind(prepared, count)
        await self._public.start()
        await self._admin.start()
        await self._roster.start(self._sockets, count)
        self._in_force(prepared, Change(Level.WORKERS, ("start",)))
        if self._settings.watch:
            self._spawn(self._watch())

    def _bind(self, prepared: Prepared, count: int) -> ListenerSockets:
        port = self._settings.smtp_port
        sockets = ListenerSockets(
            self._settings.smtp_host, prepared.config.listener.port if port is None else port
        )
        sockets.ensure(count)
        return sockets

    def _wanted_workers(self, prepared: Prepared) -> int:
        wanted = self._settings.workers or prepared.config.workers or default_workers()
        # Every worker needs at least one connection of its own, and the figure is the pod's.
        connections = min(entry.delivery.max_outbound_connections for entry in prepared.config.entries)
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
        cut, killed = await self._roster.drain()
        if cut or killed:
            self.exit_code = 1
            _LOG.warning("drained: %d sessions were cut, %d workers were killed", cut, killed)
        else:
            _LOG.info("drained: nothing was cut")
        await self._close()
        return cut

    async def stop_now(self) -> None:
        """End at once: workers are killed."""
        self._draining = True
        self.exit_code = 1
        await self._roster.kill()
        await self._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._roster.close()
        await self._public.stop()
        await self._admin.stop()
        for sockets in (self._sockets, *self._old_sockets):
            if sockets is not None:
                sockets.close()
        self._ended.set()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- workers --------------------------------------------------------------------------------------

    def _message(self) -> dict[str, Any]:
        prepared = self.prepared
        limit = memory_limit()
        return {
            **pack_bundle(prepared.bundle),
            "count": self._roster.count,
            "logLevel": prepared.config.log_level,
            "logFormat": self._settings.log_format,
            "memoryLimit": int(limit * MEMORY_SHARE / self._roster.count),
        }

    # -- configuration --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL if not self._settler.restless else INTERVAL / 4)
            if self._settler.observe(look(self._source.paths), loop.time()):
                await self.reload()

    async def reload(self) -> Change | None:
        """Read the configuration anew and put it in force at the smallest level; None when refused."""
        async with self._roster.changing:
            if self._draining:
                return None
            loaded = await asyncio.to_thread(self._source.load)
            if loaded.bundle is None:
                self._refuse(tuple(p for p in loaded.problems if p.severity == "error"))
                return None
            prepared, found = prepare(loaded.bundle)
            problems = loaded.locate(found)
            if problems:
                self._refuse(problems)
                return None
            self._warnings = loaded.problems
            return await self._apply(prepared)

    async def _apply(self, prepared: Prepared) -> Change | None:
        old, old_count = self.prepared, self._roster.count
        count = self._wanted_workers(prepared)
        change = compare(old, prepared, old_count, count)
        if change.level is Level.NONE:
            self._refused = None
            self._metrics.config_last_reload_failed.set(0)
            self._metrics.config_reloads.labels("unchanged", change.level.value).inc()
            return change
        if prepared.config.generation <= old.config.generation:
            prepared = _with_generation(prepared, old.config.generation + 1)
        if "listener.port" in change.what and self._settings.smtp_port is None:
            try:
                sockets = ListenerSockets(self._settings.smtp_host, prepared.config.listener.port)
                sockets.ensure(count)
            except OSError as error:
                self._refuse((_port_problem(prepared, error),))
                return None
            assert self._sockets is not None
            self._old_sockets.append(self._sockets)
            self._sockets = sockets
        self._prepared = prepared
        assert self._sockets is not None
        self._sockets.ensure(count)
        await self._roster.change(self._sockets, count, reassign=change.level is Level.WORKERS)
        self._in_force(prepared, change)
        return change

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            _LOG.error("configuration refused, the old one serves on: %s", problem)
        self._metrics.config_reloads.labels("refused", Level.NONE.value).inc()
        self._note_refusal(problems)

    def _note_refusal(self, problems: tuple[Problem, ...]) -> None:
        self._metrics.config_last_reload_failed.set(1)
        self._refused = {"at": _iso(time.time()), "problems": [str(problem) for problem in problems]}

    def _in_force(self, prepared: Prepared, change: Change) -> None:
        self._applied_at = time.time()
        self._last_change = change
        if change.what != ("start",):
            self._refused = None
            self._metrics.config_last_reload_failed.set(0)
            self._metrics.config_reloads.labels("applied", change.level.value).inc()
        self._metrics.workers.set(self._roster.count)
        _LOG.info(
            "configuration %s (generation %d) in force, level %s: %s",
            prepared.digest,
            prepared.config.generation,
            change.level.value,
            ", ".join(change.what),
        )

    async def reload_and_reopen(self) -> None:
        """SIGHUP: read the configuration anew, open log files anew."""
        self._roster.reopen_logs()
        await self.reload()

    # -- endpoints ------------------------------------------------------------------------------------

    async def _collect(self) -> None:
        await self._roster.snapshots()
        self._totals.update("supervisor", take_snapshot(self._metrics.registry))

    async def _render(self) -> bytes:
        await self._collect()
        return generate_latest(self._registry)

    async def _render_openmetrics(self) -> bytes:
        await self._collect()
        text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]  # untyped
        return text

    def _ready(self) -> tuple[bool, str]:
        if self._draining:
            return False, "draining"
        if not self._roster.any_ready:
            return False, "no worker is ready"
        return True, "ok"

    async def _status(self) -> Mapping[str, Any]:
        prepared = self.prepared
        ready, reason = self._ready()
        return {
            "pushDomain": prepared.config.name,
            "namespace": prepared.config.namespace,
            "ready": ready,
            "reason": reason,
            "startedAt": _iso(self._started_at),
            "smtp": {"host": self._settings.smtp_host, "port": self.smtp_port},
            "config": {
                "generation": prepared.config.generation,
                "hash": prepared.digest,
                "appliedAt": _iso(self._applied_at),
                "lastChange": {"level": self._last_change.level.value, "what": self._last_change.what},
                "warnings": [str(problem) for problem in self._warnings],
                "refused": self._refused,
            },
            "workers": await self._roster.snapshots(),
        }


def _with_generation(prepared: Prepared, generation: int) -> Prepared:
    config = prepared.config.model_copy(update={"generation": generation})
    bundle = type(prepared.bundle)(config, prepared.bundle.secrets)
    return Prepared(
        bundle=bundle,
        digest=prepared.digest,
        routes=prepared.routes,
        starttls=prepared.starttls,
        users=prepared.users,
        relay_auth=prepared.relay_auth,
    )


def _port_problem(prepared: Prepared, error: OSError) -> Problem:
    return Problem(
        severity="error",
        origin="",
        kind="PushDomain",
        namespace=prepared.config.namespace,
        name=prepared.config.name,
        field="spec.listener.port",
        message=f"port {prepared.config.listener.port} cannot be bound: {error.strerror}",
        remedy="choose a free port",
    )


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
