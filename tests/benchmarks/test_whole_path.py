from __future__ import annotations

import signal
import subprocess
import sys

from benchmarks.processes import usage
from benchmarks.whole_path import together

# In one write: two processes share the pipe, and an unbuffered print writes the end of its line by itself.
SAYS = "import os, signal, sys; os.write(1, sys.argv[1].encode() + b'\\n'); signal.pause()"


def test_one_command_is_itself() -> None:
    assert together([["a", "b c"]]) == ["a", "b c"]


def test_several_are_one_tree_that_sigterm_ends() -> None:
    command = together([[sys.executable, "-c", SAYS, f"it's {name}"] for name in "ab"])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as both:
        assert both.stdout is not None
        try:
            assert sorted(both.stdout.readline() for _ in "ab") == [b"it's a\n", b"it's b\n"]
            members = usage(both.pid).members
            assert len(members) == 3
        finally:  # what failed above is said at once
            both.send_signal(signal.SIGTERM)
        both.wait(60)
        assert both.stdout.read() == b""  # all who could write have ended
