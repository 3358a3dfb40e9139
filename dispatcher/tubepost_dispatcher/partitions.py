"""Partitions of a queue, one for each worker slot: where they are, and who has which."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_DIGITS: Final = 2


def partition_path(directory: Path, slot: int) -> Path:
    """Where the partition of a worker slot is: two digits below the queue's directory."""
    return directory / f"{slot:0{_DIGITS}d}"


def outboxes_path(directory: Path) -> Path:
    """Where webhooks keep events, those of all workers beside each other; below the queue's directory."""
    return directory / "outbox"


def existing(directory: Path) -> tuple[int, ...]:
    """The slots that have a partition, in order; may wait for the disk.

    Raises:
        OSError: the directory cannot be read. One that does not exist has no partitions.
    """
    try:
        names = [found.name for found in directory.iterdir() if found.is_dir()]
    except FileNotFoundError:
        return ()
    return tuple(sorted(int(name) for name in names if len(name) == _DIGITS and name.isdecimal()))


def adopted_by(worker: int, count: int, slots: Iterable[int]) -> tuple[int, ...]:
    """Which of the partitions a worker empties beside its own: those of slots that have no worker now.

    Args:
        worker: its index.
        count: how many workers there are.
        slots: that have a partition.
    """
    return tuple(sorted(slot for slot in slots if slot >= count and slot % count == worker))
