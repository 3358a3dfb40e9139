"""Start a program under test and wait until it greets; stop it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.measure import BenchmarkError

READY = 30.0
"""Seconds within which the program under test must greet."""
EMPTY: Mapping[str, str] = MappingProxyType({})


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], output: Path, *ports: int, environment: Mapping[str, str] = EMPTY
) -> Iterator[subprocess.Popen[bytes]]:
    """The program, listening for SMTP on loopback ports; stopped with the `with` block.

    `environment` is added to this process's own.

    Raises:
        BenchmarkError: it did not greet; or what was raised within the block, with the last lines of the
            program's output.
    """
    with output.open("wb") as written:
        program = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
    try:
        for port in ports:
            _greeting(program, port)
        yield program
    except (BenchmarkError, OSError, RuntimeError) as error:
        said = output.read_text(errors="replace")[-3000:]
        raise BenchmarkError(f"{name}: {error}\n{said}") from error
    finally:
        _stop(program)


def _greeting(program: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        if program.poll() is not None:
            raise BenchmarkError(f"the program ended with status {program.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), READY) as probe:
                line = probe.makefile("rb").readline()
                probe.sendall(b"QUIT\r\n")
                while probe.recv(1_000):
                    pass
        except ConnectionRefusedError:
            time.sleep(0.02)
            continue
        if not line.startswith(b"220"):
            raise BenchmarkError(f"the program greets with {line!r}")
        return
    raise BenchmarkError(f"the program did not listen within {READY} s")


def _stop(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is not None:
        return
    program.send_signal(signal.SIGTERM)
    try:
        program.wait(10)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait(10)
