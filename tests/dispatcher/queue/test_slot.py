from __future__ import annotations

from pathlib import Path

from tests.support.loop import FakeLoop
from tubepost_dispatcher.queue.slot import store_of
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.memory import MemoryStore


def test_without_a_directory_it_is_in_memory(tmp_path: Path) -> None:
    assert isinstance(store_of(None, 0, FakeLoop()), MemoryStore)
    assert isinstance(store_of(tmp_path, 0, FakeLoop()), DiskStore)
