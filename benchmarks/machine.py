"""What machine this is, and how busy: figures of two machines are not to be compared."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """Processor, cores, memory in MiB, kernel, Python, load average of the last minute."""
    return {
        "processor": processor(_read("/proc/cpuinfo")) or platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_mib": total(_read("/proc/meminfo")),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def said(machine: dict[str, Any]) -> str:
    """In a line."""
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_mib'] / 1024:.0f} GiB, Linux "
        f"{machine['kernel']}, Python {machine['python']}, load average at the start {machine['load']}"
    )


def processor(cpuinfo: str) -> str:
    """The model's name in /proc/cpuinfo; empty without one."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def total(meminfo: str) -> int:
    """MiB of memory in /proc/meminfo."""
    found = re.search(r"^MemTotal:\s*([0-9]+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
