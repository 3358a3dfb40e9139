"""What a process and all its children use, read from /proc (proc(5))."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the start (user and system) and resident bytes, summed over a process tree."""

    cpu: float
    memory: int
    processes: int


def usage(pid: int) -> Usage:
    """The usage of `pid` and its living descendants, and of children that they have waited for."""
    parents, figures = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has just ended
        # Fields 3 and up follow the name, which stands in parentheses and may hold anything.
        fields = stat.rpartition(")")[2].split()
        parents[int(entry.name)] = int(fields[1])
        # utime, stime, cutime, cstime are fields 14 to 17, rss is field 24.
        figures[int(entry.name)] = (sum(map(int, fields[11:15])), int(fields[21]))
    tree = [pid] if pid in figures else []
    for member in tree:
        tree += [child for child, parent in parents.items() if parent == member]
    return Usage(
        sum(figures[member][0] for member in tree) / _TICK,
        sum(figures[member][1] for member in tree) * _PAGE,
        len(tree),
    )


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
