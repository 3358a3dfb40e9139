"""What a process and all its children use, and what the machine does, read from /proc (proc(5))."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the start (user and system), summed over a process tree, and its members."""

    cpu: float
    members: tuple[int, ...]
    resident: int
    """Bytes; pages that several share count for each."""

    @property
    def processes(self) -> int:
        """How many they are."""
        return len(self.members)


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
        tuple(tree),
        sum(figures[member][1] for member in tree) * _PAGE,
    )


def memory(pid: int) -> int:
    """Bytes of a process tree: the proportional set size where the kernel tells it, else what is resident."""
    found = usage(pid)
    total = 0
    for member in found.members:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text(encoding="ascii")
            total += proportional(rollup)
    return total or found.resident


def proportional(rollup: str) -> int:
    """Bytes on the line `Pss` of a smaps_rollup; 0 without one."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def machine_cpu() -> float:
    """CPU seconds of the whole machine since it started, by all programs, and what a hypervisor took."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waits, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft + steal) / _TICK


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
