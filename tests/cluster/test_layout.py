from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.layout import ClusterError, lock, process_start, write_atomically


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_process_is_known_by_its_start_and_an_ended_one_is_not() -> None:
    own = process_start(os.getpid())
    assert own is not None
    assert process_start(os.getpid()) == own
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert process_start(child.pid) is not None
        child.kill()
        # Dead, but not waited for: a zombie holds nothing any more.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process_start(child.pid) is None
        child.wait()
    assert process_start(child.pid) is None


def test_a_held_lock_is_given_up_on_and_a_freed_one_taken() -> None:
    with lock("x"), pytest.raises(ClusterError, match=r"x\.lock"), lock("x", timeout=0):
        pass
    with lock("x", timeout=0):
        pass


def test_readers_share_a_lock() -> None:
    with lock("x", shared=True), lock("x", shared=True, timeout=0):
        pass


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["file"]  # noqa: PTH208 - names are what is asked for
