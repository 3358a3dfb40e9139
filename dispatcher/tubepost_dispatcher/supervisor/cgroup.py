"""What this container or machine may use: CPUs and memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

MEMORY_SHARE = 0.8
"""The part of what the limit leaves to workers that they may fill before they refuse new sessions."""
OWN_MEMORY = 64 * 2**20
"""Bytes of the limit that supervisor and zygote take by themselves: 57 MiB at rest."""

MAX_WORKERS = 16


def default_workers(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Worker processes for the CPUs allowed: the CPU limit rounded up, else the usable processors."""
    cpus = float(len(os.sched_getaffinity(0)))
    try:  # cgroup v2
        quota, period = (cgroup / "cpu.max").read_text().split()
        if quota != "max":
            cpus = min(cpus, int(quota) / int(period))
    except (OSError, ValueError):
        try:  # cgroup v1
            quota_us = int((cgroup / "cpu/cpu.cfs_quota_us").read_text())
            period_us = int((cgroup / "cpu/cpu.cfs_period_us").read_text())
            if quota_us > 0:
                cpus = min(cpus, quota_us / period_us)
        except (OSError, ValueError):
            pass
    return min(MAX_WORKERS, max(1, math.ceil(cpus)))


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory limit in bytes, 0 without one."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (cgroup / name).read_text().strip()
        except OSError:
            continue
        if text == "max" or int(text) >= 1 << 60:
            return 0
        return int(text)
    return 0


def memory_of_a_worker(limit: int, workers: int) -> int:
    """Bytes that each of so many workers may fill of a limit in bytes; 0 without one."""
    if not limit:
        return 0
    return max(1, int((limit - OWN_MEMORY) * MEMORY_SHARE / workers))
