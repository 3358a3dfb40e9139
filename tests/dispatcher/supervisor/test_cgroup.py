from __future__ import annotations

import os
from pathlib import Path

import pytest

from tubepost_dispatcher.supervisor.cgroup import (
    MAX_WORKERS,
    default_workers,
    memory_limit,
    memory_of_a_worker,
)


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


@pytest.mark.parametrize(
    ("limit", "workers", "mib"),
    [(512, 1, 358.4), (512, 4, 89.6), (512, 16, 22.4), (128, 1, 51.2)],
)
def test_workers_share_what_the_others_leave_of_the_limit(limit: int, workers: int, mib: float) -> None:
    assert memory_of_a_worker(limit << 20, workers) == pytest.approx(mib * 2**20, abs=1)


def test_a_share_is_never_mistaken_for_no_limit() -> None:
    assert memory_of_a_worker(0, 3) == 0
    assert memory_of_a_worker(32 << 20, 3) == 1
