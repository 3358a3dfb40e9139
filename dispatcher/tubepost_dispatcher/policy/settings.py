"""How policy processes are started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

HOST: Final = "tubepost_dispatcher.policy.host"
START_LIMIT: Final = 10.0
"""Seconds that a process has until its module is loaded."""
ABORT_GRACE: Final = 0.1
"""Seconds between the signal that makes a process tell its line, and the one that ends it."""

_KEPT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ")
"""Environment variables that a policy process has; none of them is a secret."""


def command(calls: int, crash: int, memory: int) -> list[str]:
    """The command line of a policy process; the descriptors are those that it inherits."""
    # Isolated: it takes nothing from the environment, from a user's site-packages or the working directory.
    return [sys.executable, "-I", "-B", "-m", HOST, str(calls), str(crash), str(memory), str(os.getpid())]


def environment(of: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a policy process."""
    return {"LANG": "C.UTF-8"} | {name: of[name] for name in _KEPT if name in of}


def spawn(calls: int, crash: int, output: int, memory: int) -> subprocess.Popen[bytes]:
    """Start a policy process, the first of a group of its own.

    Args:
        calls: descriptor of the socket on which calls come.
        crash: of the pipe on which it tells where it was when it was ended.
        output: of the pipe that takes what it prints.
        memory: bytes that it may use.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(  # noqa: S603 - our own program
        command(calls, crash, memory),
        pass_fds=(calls, crash),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment(),
        cwd="/",
        start_new_session=True,
    )
