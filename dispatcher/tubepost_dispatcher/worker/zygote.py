"""The process that workers are forked from: it has imported what they run, and opened nothing.

Their memory is then one copy, of which each process keeps apart what it changes: a worker costs a third of
one that is started as a program, and is there in milliseconds. The zygote itself is forked from the
supervisor's process before that has an event loop, threads or sockets: the supervisor shares the same pages.

A worker's parent is the supervisor, not the zygote: the child in between ends at once, and the supervisor
takes orphans in (PR_SET_CHILD_SUBREAPER, prctl(2)). So the supervisor sees how a worker ended, and a zygote
that died takes none along. See docs/decisions/0023-workers-are-forked-from-a-zygote.md.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from tubepost_dispatcher.worker import program

_PR_SET_CHILD_SUBREAPER: Final = 36
_MOST_DESCRIPTORS: Final = 3


class Zygote(NamedTuple):
    """A zygote that waits for requests."""

    pid: int
    line: socket.socket
    """A request is one packet with the descriptors that `program.serve` takes. The answer is one packet: the
    worker's process, or, negative, the errno of what failed. The zygote ends when this is closed."""


def start() -> Zygote | None:
    """Fork a zygote from this process, which takes in orphans from now on.

    Returns:
        None where there can be none: not on Linux, or this process has threads already, which a fork would
        lose with their locks held.

    Raises:
        OSError: there are no more processes.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        return None
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: F401, PLC0415 - every worker's, where the platform has it
    # What was imported stays: a collection would write to all of it, and so would make copies of its pages.
    gc.collect()
    gc.freeze()
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)
    # Packets: a request and its descriptors arrive together or not at all.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Until it ignores them: an interrupt from a terminal goes to all processes.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, program.SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            ours.close()
            _live(theirs, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return Zygote(pid, ours)


def _live(line: socket.socket, mask: set[int | signal.Signals]) -> NoReturn:
    """Be the zygote; never comes back into the supervisor's program."""
    code = 1
    try:
        for number in program.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        _name("tubepost-zygote")
        serve(line)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing is to run that follows the fork in the supervisor
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def serve(line: socket.socket) -> None:
    """Fork a worker for each request, until the supervisor has gone."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(line, 1, _MOST_DESCRIPTORS)
        if not request:
            return
        try:
            answer = _fork(line, descriptors)
        except OSError as error:
            answer = -(error.errno or 1)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            line.send(str(answer).encode())
        except OSError:
            return


def _fork(line: socket.socket, descriptors: list[int]) -> int:
    """Fork a worker, by way of a child that ends at once; the worker's process.

    Raises:
        OSError: there are no more processes.
    """
    told, tell = os.pipe()
    between = os.fork()
    if between == 0:
        _fork_and_end(line, descriptors, told, tell)
    os.close(tell)
    with open(told, "rb") as file:  # noqa: PTH123 - a descriptor
        text = file.read(32).split(b"\n")[0]
    os.waitpid(between, 0)
    number = int(text or b"-1")
    if number < 0:
        raise OSError(-number, os.strerror(-number))
    return number


def _fork_and_end(line: socket.socket, descriptors: list[int], told: int, tell: int) -> NoReturn:
    try:
        os.close(told)
        worker = os.fork()
        if worker == 0:
            os.close(tell)
            line.close()
            _work(descriptors)
        os.write(tell, b"%d\n" % worker)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(tell, b"%d\n" % -(error.errno or 1))
    finally:
        os._exit(0)


def _work(descriptors: list[int]) -> NoReturn:
    """Be a worker, and end as a program ends; but its memory is left as it is: to free it is to copy it."""
    code = 1
    try:
        _name("tubepost-worker")
        program.serve(*descriptors)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing is to run that follows the fork in the zygote
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does in its children
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)


def _name(name: str) -> None:
    """Give this process a name for ps and top, of at most 15 characters."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name, encoding="ascii")
