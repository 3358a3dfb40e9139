from __future__ import annotations

import os
from pathlib import Path

import pytest

from tubepost_dispatcher.supervisor.cgroup import MAX_WORKERS, default_workers, memory_limit


@pytest.mark.parametrize(
    ("text", "workers"),
    [("max 100000", None), ("100000 100000", 1), ("150000 100000", 2), ("5000 100000", 1)],
)
def test_workers_follow_the_cpu_limit(tmp_path: Path, text: str, workers: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    usable = min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    assert default_workers(tmp_path) == (usable if workers is None else min(workers, usable))


def test_cgroup_version_1_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert default_workers(tmp_path) == 1


@pytest.mark.parametrize(("text", "limit"), [("max", 0), ("1073741824", 1 << 30), (str((1 << 63) - 4096), 0)])
def test_the_memory_limit_is_read(tmp_path: Path, text: str, limit: int) -> None:
    assert memory_limit(tmp_path) == 0
    (tmp_path / "memory.max").write_text(text + "\n")
    assert memory_limit(tmp_path) == limit
