"""A program that starts a zygote as a supervisor does, and tells what it and a worker of it are like, as JSON."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from tubepost_dispatcher.worker import program, zygote

LOST = "the last words of a worker"


def _worker(channel: int, descriptors: int, memory: int | None = None) -> None:
    """In the place of `program.serve`."""
    line = socket.socket(fileno=channel)
    said = {
        "name": Path("/proc/self/comm").read_text().strip(),
        "files": sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in _open()),  # noqa: PTH115
        "ignored": [signal.getsignal(number) is signal.SIG_IGN for number in program.SIGNALS],
        "random": random.random(),
        "memory": memory is not None,
        "threads": threading.active_count(),
    }
    line.sendall(json.dumps(said).encode() + b"\n")
    order = line.recv(100)
    # Only now is it sure that the child in between has ended.
    line.sendall(str(os.getppid()).encode() + b"\n")
    if order == b"fail":
        raise RuntimeError(LOST)


def _open() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            os.fstat(int(name))
        except OSError:
            continue  # that of the listing itself
        found.append(int(name))
    return found


def _ask(line: socket.socket, order: bytes, *, memory: bool = False) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    other, its = socket.socketpair()
    with ours, other:
        fds = [theirs.fileno(), its.fileno(), *([0] if memory else [])]
        socket.send_fds(line, [b"f"], fds)
        theirs.close()
        its.close()
        pid = int(line.recv(32))
        with ours.makefile("rb") as file:
            said: dict[str, Any] = json.loads(file.readline())
            ours.sendall(order)
            said["parent"] = int(file.readline())
        reaped, status = os.waitpid(pid, 0)
    return {**said, "code": os.waitstatus_to_exitcode(status), "reaped": reaped == pid}


def _ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Try everything out."""
    program.serve = _worker
    hold = threading.Event()
    thread = threading.Thread(target=hold.wait)
    thread.start()
    said: dict[str, Any] = {"with threads": zygote.start() is None}
    hold.set()
    thread.join()
    made = zygote.start()
    assert made is not None
    said["pid"] = os.getpid()
    for number in program.SIGNALS:
        os.kill(made.pid, number)
    said["workers"] = [_ask(made.line, b"go"), _ask(made.line, b"fail", memory=True), _ask(made.line, b"go")]
    said["zygote"] = Path(f"/proc/{made.pid}/comm").read_text().strip()
    made.line.close()
    said["end of the zygote"] = _ended(made.pid)

    # One whose processes cannot be forked, and one whose supervisor has gone without hearing the answer.
    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    forks = zygote.os.fork
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(b"f")
    zygote.os.fork = refuse
    server = threading.Thread(target=zygote.serve, args=(theirs,))
    server.start()
    said["refused"] = int(ours.recv(32))
    ours.close()
    server.join()
    zygote.os.fork = forks
    said["after a signal"] = _killed()
    json.dump(said, sys.stdout)


def _killed() -> int:
    made = zygote.start()
    assert made is not None
    os.kill(made.pid, signal.SIGKILL)
    return _ended(made.pid)


if __name__ == "__main__":
    main()
