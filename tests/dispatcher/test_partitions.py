from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.partitions import adopted_by, existing, outboxes_path, partition_path


def test_partitions_have_two_digits(tmp_path: Path) -> None:
    assert partition_path(tmp_path, 7) == tmp_path / "07"
    assert partition_path(tmp_path, 63) == tmp_path / "63"


def test_outboxes_are_beside_the_partitions_and_none(tmp_path: Path) -> None:
    outboxes_path(tmp_path).mkdir()
    assert existing(tmp_path) == ()


def test_only_partitions_are_found(tmp_path: Path) -> None:
    assert existing(tmp_path / "none") == ()
    for slot in (12, 0, 3):
        partition_path(tmp_path, slot).mkdir()
    for other in ("lost+found", "1", "001", "x1"):
        (tmp_path / other).mkdir()
    (tmp_path / "05").touch()
    assert existing(tmp_path) == (0, 3, 12)


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="directory"):
        existing(tmp_path / "file")


@given(st.integers(1, 64), st.sets(st.integers(0, 99)))
def test_every_partition_has_exactly_one_worker(count: int, slots: set[int]) -> None:
    had = [slot for worker in range(count) for slot in (worker, *adopted_by(worker, count, slots))]
    assert len(had) == len(set(had))
    assert slots <= set(had)
