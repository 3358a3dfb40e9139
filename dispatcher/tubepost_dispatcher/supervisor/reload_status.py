"""What became of configurations, for metrics, log and /status: what is in force, what was refused and why."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from tubepost_api.problems import Problem
from tubepost_dispatcher.config.bundle import Prepared
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.supervisor.config_change import Change, Level

_LOG = logging.getLogger("tubepost.supervisor")


class ReloadStatus:
    """Reports every configuration that was read: to Prometheus, the log and /status."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._applied_at = 0.0
        self._last_change = Change(Level.NONE, ())
        self._refused: dict[str, Any] | None = None
        self._namespace = self._name = ""

    def refuse(self, problems: Iterable[Problem], digest: str = "") -> None:
        """A configuration was refused; `digest` is empty when it could not be read that far."""
        problems = tuple(problems)
        for problem in problems:
            _LOG.error("configuration refused, the old one stays in force: %s", problem)
        self._metrics.config_reloads.labels("refused", Level.NONE.value).inc()
        self.lacks(problems, digest)

    def refuse_for(self, field: str, message: str, remedy: str, digest: str = "") -> None:
        """The same for one problem of the PushDomain in force; the arguments are those of a Problem."""
        self.refuse(
            (
                Problem(
                    severity="error",
                    origin="",
                    kind="PushDomain",
                    namespace=self._namespace,
                    name=self._name,
                    field=field,
                    message=message,
                    remedy=remedy,
                ),
            ),
            digest,
        )

    def lacks(self, problems: Iterable[Problem], digest: str) -> None:
        """A configuration has problems, whether it was refused or is in force without what it lacks."""
        self._metrics.config_last_reload_failed.set(1)
        # The hash says which: the operator may have published another one since.
        self._metrics.config_refused_info.clear()
        self._metrics.config_refused_info.labels(digest).set(1)
        self._refused = {"at": iso(time.time()), "problems": [str(problem) for problem in problems]}

    def unchanged(self) -> None:
        """What was read is what is in force."""
        self._accept()
        self._metrics.config_reloads.labels("unchanged", Level.NONE.value).inc()

    def describe(self, prepared: Prepared, workers: int) -> None:
        """Say what the pod works by: before its workers start, since it is ready with the first of them."""
        self._namespace, self._name = prepared.config.namespace, prepared.config.name
        self._metrics.workers.set(workers)
        # Workers report it too, but there may be none at the moment.
        self._metrics.config_generation.set(prepared.config.generation)
        self._metrics.config_info.clear()
        self._metrics.config_info.labels(prepared.digest).set(1)

    def started(self, prepared: Prepared, workers: int) -> None:
        """The first configuration is in force, possibly with what it `lacks`."""
        self._in_force(prepared, Change(Level.WORKERS, ("start",)), workers)

    def applied(self, prepared: Prepared, change: Change, workers: int) -> None:
        """A configuration replaced the one before."""
        self._accept()
        self._metrics.config_reloads.labels("applied", change.level.value).inc()
        self._in_force(prepared, change, workers)

    def _accept(self) -> None:
        self._metrics.config_last_reload_failed.set(0)
        self._metrics.config_refused_info.clear()
        self._refused = None

    def _in_force(self, prepared: Prepared, change: Change, workers: int) -> None:
        self.describe(prepared, workers)
        self._applied_at = time.time()
        self._last_change = change
        _LOG.info(
            "configuration %s (generation %d) in force, level %s: %s",
            prepared.digest,
            prepared.config.generation,
            change.level.value,
            ", ".join(change.what),
        )

    def status(self) -> dict[str, Any]:
        """Its part of /status: JSON values."""
        change = self._last_change
        return {
            "appliedAt": iso(self._applied_at),
            "lastChange": {"level": change.level.value, "what": change.what},
            "refused": self._refused,
        }


def iso(seconds: float) -> str:
    """A moment (seconds since 1970) as RFC 3339 says it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
