from __future__ import annotations

import os
import subprocess

from benchmarks.workers import NAME, workers


def test_workers_are_known_by_their_names() -> None:
    # A shell that gives itself the name, as a forked worker does, and waits.
    command = ["bash", "-c", f"printf {NAME} > /proc/$$/comm; echo named; read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as named:
        assert named.stdout is not None
        assert named.stdout.readline() == b"named\n"
        gone = 2**22  # above the kernel's largest pid
        assert workers([os.getpid(), named.pid, gone]) == [named.pid]
        named.communicate(b"\n")
