from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tubepost_dispatcher.worker import memory

MIB = 2**20
FORKED = """
import json, os, sys
from tubepost_dispatcher.worker import memory

held = bytes(range(256)) * (4096 * 64)  # 64 MiB
told, tell = os.pipe()
if os.fork() == 0:
    os.close(told)
    os.write(tell, json.dumps([memory.resident_bytes(), memory.proportional_bytes()]).encode())
    os._exit(0)
os.close(tell)
print(os.read(told, 100).decode())  # the parent is there, and holds its half, until the child has looked
os.wait()
"""


def test_what_is_shared_with_those_who_were_forked_beside_counts_in_parts() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, check=True, timeout=120)
    resident, proportional = json.loads(done.stdout)
    assert resident > 64 * MIB
    assert proportional < resident - 24 * MIB


@pytest.mark.parametrize(
    ("limit", "resident", "proportional", "exceeded"),
    [(0, 100, 100, False), (50, 40, 40, False), (50, 100, 40, False), (50, 100, 60, True)],
)
def test_a_limit_is_exceeded_by_what_is_not_shared(
    monkeypatch: pytest.MonkeyPatch, limit: int, resident: int, proportional: int, exceeded: bool
) -> None:
    monkeypatch.setattr(memory, "resident_bytes", lambda: resident)
    monkeypatch.setattr(memory, "proportional_bytes", lambda: proportional)
    assert memory.exceeds(limit) is exceeded


def test_where_the_kernel_does_not_tell_resident_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, _mode: str) -> None:
        raise FileNotFoundError(name)

    monkeypatch.setattr(memory, "open", refuse, raising=False)
    assert memory.proportional_bytes() == memory.resident_bytes() > MIB
