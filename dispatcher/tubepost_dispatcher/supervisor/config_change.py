"""What differs between two configurations, and how much of a dispatcher that concerns. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tubepost_dispatcher.config.bundle import Prepared

_APART = frozenset({"routes", "generation", "workers"})
"""Fields of the document that are not simply options: compared in their own way, or of no effect."""


class Level(enum.StrEnum):
    """From nothing to everything; each includes those before it."""

    NONE = "none"
    OPTIONS = "options"
    """Swapped between two transactions; sessions and connections stay."""
    POOL = "pool"
    """Pools whose endpoint, credential or TLS changed are replaced; the old ones finish first."""
    WORKERS = "workers"
    """Workers are added or drained, or listen on another port; sessions of workers that stay go on."""


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two configurations, and the smallest level that puts it in force."""

    level: Level
    what: tuple[str, ...]


def compare(old: Prepared, new: Prepared, old_workers: int, new_workers: int) -> Change:
    """The change from one checked configuration to another.

    Args:
        old: in force.
        new: to be put in force.
        old_workers: number of worker processes now.
        new_workers: number of worker processes wanted.
    """
    other_certificate = old.certificates != new.certificates
    if old.digest == new.digest and old_workers == new_workers and not other_certificate:
        return Change(Level.NONE, ())
    workers: list[str] = []
    pools: list[str] = []
    options: list[str] = []
    if old.config.listener.port != new.config.listener.port:
        workers.append("listener.port")
    if old_workers != new_workers:
        workers.append(f"workers {old_workers} -> {new_workers}")
    optional: list[str] = []
    for name in sorted(old.routes.keys() | new.routes.keys()):
        before, after = old.routes.get(name), new.routes.get(name)
        if before is None or after is None:
            pools.append(f"route {name} {'added' if before is None else 'removed'}")
        elif before.pool_key != after.pool_key:
            pools.append(f"route {name}")
        elif before.config != after.config:
            optional.append(f"route {name} options")
    fields = dict(old.config)
    options += [name for name, value in new.config if name not in _APART and value != fields[name]]
    options += optional
    if old.config.workers != new.config.workers and old_workers == new_workers:
        options.append("workers")
    before_secrets, after_secrets = old.bundle.secrets, new.bundle.secrets
    options += [
        f"Secret {name}"
        for name in sorted(old.config.secret_names() & new.config.secret_names())
        if before_secrets.get(name) != after_secrets.get(name)
    ]
    if other_certificate and not pools and not options:
        options.append("the listener's certificate, of several in its Secret")
    level = Level.WORKERS if workers else Level.POOL if pools else Level.OPTIONS
    return Change(level, tuple(workers + pools + options))
