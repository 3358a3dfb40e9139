"""Whether a policy's module can be in force: found out in a process of its own, before it is."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tubepost_api.config import DispatcherConfig, PolicyConfig
from tubepost_api.problems import Problem
from tubepost_dispatcher.policy.check import module_problems


class PolicyCheck:
    """Remembers what was found out about the newest module: a change of something else costs no process.

    Args:
        check: finds out; blocks.
    """

    def __init__(self, check: Callable[[DispatcherConfig], tuple[Problem, ...]] = module_problems) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._known: tuple[PolicyConfig, tuple[Problem, ...]] | None = None

    def look_at(self, config: DispatcherConfig) -> None:
        """Check the module of a configuration unless it was the last one; blocks, in a thread."""
        policy = config.policy
        if policy is None:
            return
        known = self._found(policy)
        # One that failed is tried again: it may have been slow to load on a busy machine.
        if known is not None and not any(problem.severity == "error" for problem in known):
            return
        found = self._check(config)
        with self._lock:
            self._known = policy, found

    def errors(self, config: DispatcherConfig) -> tuple[Problem, ...]:
        """What keeps its module from being in force."""
        return self._of(config, "error")

    def warnings(self, config: DispatcherConfig) -> tuple[Problem, ...]:
        """What is doubtful about its module."""
        return self._of(config, "warning")

    def _of(self, config: DispatcherConfig, severity: str) -> tuple[Problem, ...]:
        found = None if config.policy is None else self._found(config.policy)
        return tuple(problem for problem in found or () if problem.severity == severity)

    def _found(self, policy: PolicyConfig) -> tuple[Problem, ...] | None:
        with self._lock:
            return self._known[1] if self._known is not None and self._known[0] == policy else None
