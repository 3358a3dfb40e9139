"""Reloading: a changed configuration is read, checked as a whole, and put in force or refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from tubepost_api.config import DispatcherConfig
from tubepost_api.problems import Problem
from tubepost_dispatcher.config.bundle import Prepared, prepare
from tubepost_dispatcher.config.source import ConfigSource, Loaded
from tubepost_dispatcher.supervisor.config_change import Change
from tubepost_dispatcher.supervisor.file_watch import INTERVAL, Debouncer, fingerprint
from tubepost_dispatcher.supervisor.policy_check import PolicyCheck
from tubepost_dispatcher.supervisor.reload_status import ReloadStatus
from tubepost_runtime.single_flight import SingleFlight
from tubepost_runtime.tasks import TaskSet
from tubepost_runtime.threads import in_thread

_LOG = logging.getLogger("tubepost.supervisor")

SLOW_READ = 15.0
"""Seconds after which reading is said to take long, and again after as many more. A module of hooks has
fewer to be loaded, which is part of it: one that loops is named for that, and no volume is suspected."""

Checked = tuple[Prepared, tuple[Problem, ...]]
"""A configuration that was read and checked, and what was found wrong with it."""

Apply = Callable[[Prepared], Awaitable[Change | None]]
"""Puts a checked configuration in force, and says what changed; None when it had to be refused after all."""


class ConfigRefused(Exception):
    """There is no configuration to start with; `problems` says why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Reloader:
    """The way of a configuration from its source into force.

    Args:
        source: where it is read.
        status: told what became of it.
        in_force: the configuration that is in force, once there is one.
        apply: puts another one in force.
        changing: held while it does, so that no worker is restarted meanwhile. Reading is outside of it: a
            volume that hangs must not keep a dead worker from being replaced.
        tasks: where reloads that are under way are remembered.
        unservable: what this process lacks for a configuration; with any of it, none is put in force.
        policy: finds out whether a policy's module can be in force.
    """

    def __init__(
        self,
        source: ConfigSource,
        status: ReloadStatus,
        in_force: Callable[[], Prepared],
        apply: Apply,
        changing: asyncio.Lock,
        tasks: TaskSet,
        unservable: Callable[[DispatcherConfig], tuple[Problem, ...]] = lambda _: (),
        policy: PolicyCheck | None = None,
    ) -> None:
        self._source = source
        self._status = status
        self._in_force = in_force
        self._apply = apply
        self._changing = changing
        self._lacking = unservable
        self._policy = policy or PolicyCheck()
        self._reading = asyncio.Lock()
        self._flight: SingleFlight[str, Change | None] = SingleFlight(tasks)
        self._debouncer = Debouncer(())
        self._tolerated: frozenset[tuple[str, str, str]] = frozenset()
        """Kind, name and field of the problems accepted at a lenient start; a reload may add none."""
        self._stopped = False
        self._chosen_until: float | None = None
        self._told: dict[str, None] = {}
        """The warnings and problems that are in the log, of the configuration in force."""
        self.warnings: tuple[Problem, ...] = ()
        """What is doubtful about the configuration in force."""

    @property
    def lenient(self) -> bool:
        """Whether problems are tolerated since a lenient start."""
        return bool(self._tolerated)

    async def first(self, *, strict: bool) -> Prepared:
        """The configuration to start with.

        Args:
            strict: refuse it when a credential cannot be read.

        Raises:
            ConfigRefused: it has errors.
        """
        self._debouncer = Debouncer(await in_thread(lambda: fingerprint(self._source.paths), "look"))
        loaded, checked = await self._read()
        if checked is None:
            raise ConfigRefused(_errors(loaded.problems))
        prepared, found = checked
        problems = loaded.locate(found)
        unservable = loaded.locate(self._unservable(prepared.config))
        if unservable or (problems and strict):
            raise ConfigRefused((*unservable, *problems))
        self._accept(loaded, prepared, problems)
        if problems:
            self._status.lacks(problems, prepared.digest)
        return prepared

    async def watch(self) -> None:
        """Poll the source's files until cancelled, and reload when they have changed."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL / 4 if self._debouncer.pending else INTERVAL)
            current = await in_thread(lambda: fingerprint(self._source.paths), "look")
            if self._debouncer.observe(current, loop.time()) or self._other_certificate_due():
                await self.reload()

    def _other_certificate_due(self) -> bool:
        """Whether a renewed certificate beside an old one may have become the better one; True once."""
        due = self._chosen_until is not None and time.time() >= self._chosen_until
        if due:
            self._chosen_until = None
        return due

    def stop(self) -> None:
        """From now on nothing is put in force."""
        self._stopped = True

    async def reload(self) -> Change | None:
        """Reload the configuration and put it in force at the smallest level; None when refused.

        Calls that come while one waits for its turn share its result: it has not read anything yet.
        """
        if self._stopped:
            return None
        return await self._flight.do("", self._reload)

    async def _reload(self) -> Change | None:
        async with self._reading:
            self._flight.forget("")
            try:
                return await self._reload_now()
            except Exception as error:  # noqa: BLE001 - the old configuration stays in force and the watch goes on
                _LOG.exception("the configuration could not be put in force")
                self._status.refuse_for("", f"cannot be put in force: {error!r}", "see the log")
                return None

    async def _reload_now(self) -> Change | None:
        loaded, checked = await self._read()
        if checked is None:
            self._status.refuse(_errors(loaded.problems))
            return None
        async with self._changing:
            return None if self._stopped else await self._put_in_force(loaded, *checked)

    async def _put_in_force(
        self, loaded: Loaded, prepared: Prepared, found: tuple[Problem, ...]
    ) -> Change | None:
        problems = loaded.locate(found)
        unservable = loaded.locate(self._unservable(prepared.config))
        if unservable:
            self._status.refuse((*unservable, *problems), prepared.digest)
            return None
        # What could not be read at a lenient start does not keep the rest from changing; what could be read
        # must not be lost.
        places = _places(problems)
        if not places <= self._tolerated or prepared.loses_users_of(self._in_force()):
            self._status.refuse(problems, prepared.digest)
            return None
        change = await self._apply(prepared)
        if change is not None:
            self._accept(loaded, prepared, problems)
            if problems:
                self._status.lacks(problems, prepared.digest)
        return change

    def _accept(self, loaded: Loaded, prepared: Prepared, problems: tuple[Problem, ...]) -> None:
        """Remember what is doubtful about a configuration that is in force, and log what is new of it."""
        doubts = prepared.warnings + prepared.notices + self._policy.warnings(prepared.config)
        self.warnings = (*loaded.beside(problems), *loaded.locate(doubts))
        self._tolerated = _places(problems)
        self._chosen_until = prepared.chosen_until
        told, self._told = self._told, {str(problem): None for problem in (*self.warnings, *problems)}
        for text in self._told:
            if text not in told:
                _LOG.warning("%s", text)

    async def _read(self) -> tuple[Loaded, Checked | None]:
        """Read and check in a thread; says so when that takes long, for as long as it does."""
        begun = time.monotonic()
        reading = in_thread(self._read_now, "configuration")
        while True:
            done, _ = await asyncio.wait({reading}, timeout=SLOW_READ)
            if done:
                return reading.result()
            message = f"reading has taken {time.monotonic() - begun:.0f} s and goes on"
            self._status.refuse_for("", message, "see whether a volume of its files hangs")

    def _read_now(self) -> tuple[Loaded, Checked | None]:
        loaded = self._source.load()
        if loaded.bundle is None:
            return loaded, None
        self._policy.look_at(loaded.bundle.config)
        return loaded, prepare(loaded.bundle, time.time())

    def _unservable(self, config: DispatcherConfig) -> tuple[Problem, ...]:
        """Why a configuration cannot be in force however lenient this dispatcher is."""
        return (*self._lacking(config), *self._policy.errors(config))


def _errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity == "error")


def _places(problems: Iterable[Problem]) -> frozenset[tuple[str, str, str]]:
    """Where problems are: kind, name and field."""
    return frozenset((problem.kind, problem.name, problem.field) for problem in problems)
