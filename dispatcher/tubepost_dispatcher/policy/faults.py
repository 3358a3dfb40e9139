"""Why a call of a hook has no answer, or why a policy process cannot serve."""

from __future__ import annotations

import contextlib
import signal
from typing import Any, Final

from tubepost_dispatcher.policy.output import loggable


class Fault:
    """Why a call has no answer, or why a process cannot serve."""

    __slots__ = ("hook", "kind", "line", "text")

    def __init__(self, kind: str, text: str, line: int = 0, hook: str = "") -> None:
        self.kind = kind
        """A label of metrics."""
        self.text = text
        self.line = line
        """Of the module; 0 where it is not known."""
        self.hook = hook
        """Name of the function; empty where it is not known."""

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else ""
        where = ", ".join(filter(None, (self.hook, where)))
        return f"{where}: {self.text}" if where else self.text


KINDS: Final = frozenset({"exception", "memory", "exit", "result", "module", "timeout", "died", "busy"})
"""Kinds of faults that there are."""


def ended_how(code: int) -> str:
    """How a process has ended, by its exit code; negative for a signal."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process has ended with status {code}"


def read_fault(facts: Any) -> Fault | None:
    """A fault as the process tells it, cleaned; None where there is none."""
    if not isinstance(facts, dict):
        return None
    kind, line, hook = facts.get("kind"), facts.get("line"), facts.get("hook")
    return Fault(
        kind if kind in KINDS else "result",
        loggable(str(facts.get("text"))),
        line if isinstance(line, int) and 0 <= line < 10**6 else 0,
        loggable(str(hook))[:80] if hook else "",
    )
