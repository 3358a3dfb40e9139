"""The program that runs a policy module: `... -m tubepost_dispatcher.policy.host CALLS CRASH MEMORY PARENT`.

Arguments: file descriptors of the socket on which calls come and of the pipe to which a crash is told, bytes
of memory, and the process that started it, with which it ends.

It starts without environment and descriptors of its parent, bounds itself, reads the module's text as the
first frame, and answers calls one by one. It is no sandbox: it keeps accidents apart from the dispatcher. The
module runs as the dispatcher's user.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import sys
from typing import Any, Final, NoReturn

from tubepost_dispatcher.policy.runner import Fault, Module, decode, encode, fault_of
from tubepost_dispatcher.policy.wire import LENGTH, MAX_FRAME, frame

MAX_LINE: Final = 1_000
"""Characters of a printed line that are kept."""
SHARED: Final = 256 * 1024 * 1024
"""Bytes of address space beyond `MEMORY`: programs, libraries, memory that was never touched."""
_FILES: Final = 64
_NICE: Final = 5
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_FORBIDDEN: Final = frozenset(
    {
        "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.kill",
        "os.killpg", "subprocess.Popen", "signal.pthread_kill",
    }
)  # fmt: skip
"""Audit events of what a hook must not do: whatever it starts could outlive it."""
_CHANGING: Final = frozenset(
    {
        "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
        "os.truncate", "os.utime", "os.setxattr", "os.removexattr",
    }
)  # fmt: skip
"""Audit events of changes to files, for which no limit of a process provides: the queue's among them."""
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_read, _write, _exit, _waitpid = (
    os.read,
    os.write,
    os._exit,
    os.waitpid,
)  # a module may put others in their place


class _Output:
    """Standard output and error of a module: whole lines, cut, and dropped when nobody takes them in time."""

    encoding = "utf-8"
    errors = "replace"
    closed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._line = ""

    def write(self, text: str) -> int:
        head, newline, rest = text.partition("\n")
        while newline:
            self._emit(self._line + head)
            self._line = ""
            head, newline, rest = rest[:MAX_FRAME].partition("\n")
        self._line = (self._line + head)[: 2 * MAX_LINE]
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._line:
            line, self._line = self._line, ""
            self._emit(line)

    def _emit(self, line: str) -> None:
        # The descriptor does not block: a flood is dropped, and does not hold up the hook.
        with contextlib.suppress(OSError):
            _write(self._descriptor, line[:MAX_LINE].encode("utf-8", "replace") + b"\n")

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


def _bound(memory: int, parent: int) -> None:
    """Take away from this process what a module must not use up."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # of all processes of a pod this is the one to go first
    _end_with(parent)
    limits: list[tuple[int, int]] = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # no files: the queue's volume is not a module's to fill
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_AS, memory + SHARED),
    ]
    if os.getuid():
        # For all processes of the user, this one included: none can be started. It does not hold for root.
        limits.append((resource.RLIMIT_NPROC, 0))
    for which, limit in limits:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (limit, limit))


def _end_with(parent: int) -> None:
    """End when the dispatcher does, also in the middle of an endless loop."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - Linux only

        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        _exit(0)


def _writes(path: Any, _: Any, flags: int) -> bool:
    """Whether what is opened is a file by its name, to be written to."""
    return bool(flags & _WRITING) and not isinstance(path, int) and path not in (os.devnull, b"/dev/null")


def _forbid() -> None:
    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            raise PermissionError(f"a policy module starts and signals no processes ({event})")
        if event in _CHANGING or (event == "open" and _writes(*arguments)):
            raise PermissionError(f"a policy module writes no files, and removes none ({event})")

    def no_thread(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("a policy module starts no threads")

    import _thread  # noqa: PLC0415 - to be changed before `threading` takes from it

    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        if hasattr(_thread, name):
            setattr(_thread, name, no_thread)
    sys.addaudithook(refuse)


class _Calls:
    """The socket on which calls come, one at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def receive(self) -> bytes | None:
        """The next frame's content; None when the dispatcher wants no more."""
        head = self._exactly(LENGTH)
        if head is None:
            return None
        return self._exactly(int.from_bytes(head, "big"))

    def send(self, answer: dict[str, Any]) -> None:
        content = encode(answer)
        if len(content) > MAX_FRAME:
            content = encode({"fault": Fault("result", f"an answer of {len(content)} bytes").facts()})
        view = memoryview(frame(content))
        while view:
            view = view[_write(self._descriptor, view) :]

    def _exactly(self, count: int) -> bytes | None:
        pieces = []
        while count:
            piece = _read(self._descriptor, count)
            if not piece:
                return None
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


def serve(calls: _Calls, output: _Output) -> None:
    """Load the module and answer calls until there are no more, or until one has done harm."""
    source = calls.receive()
    if source is None:
        return
    try:
        module = Module(source.decode("utf-8"))
    except Fault as fault:
        output.flush()
        calls.send({"fault": fault.facts()})
        return
    output.flush()
    calls.send({"ready": sorted(module.hooks), "warnings": module.warnings})
    gc.collect()
    gc.freeze()
    while (content := calls.receive()) is not None:
        try:
            answer = {"answer": module.call(decode(content))}
        except BaseException as error:  # noqa: BLE001 - also what the module has broken around it
            answer = {"fault": fault_of(error, "").facts()}
        output.flush()
        if _has_children():
            # By way of C, as root: nothing else lets it. They end with this process.
            started = Fault("result", "it has started a process, which nobody waits for")
            calls.send({"fault": started.facts(), "last": True})
            return
        calls.send(answer)


def _has_children() -> bool:
    try:
        _waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def main() -> None:
    """Run a policy process."""
    calls, crash, memory, parent = map(int, sys.argv[1:])
    # On SIGABRT too: whoever kills it wants to know the line where it was.
    faulthandler.enable(crash, all_threads=False)
    for descriptor in (1, 2):
        os.set_blocking(descriptor, False)
    output = _Output(2)
    sys.stdout = sys.stderr = output
    sys.dont_write_bytecode = True
    sys.argv = ["policy"]
    _bound(memory, parent)
    _forbid()
    try:
        serve(_Calls(calls), output)
    finally:
        # Without the exit handlers of the module, which nobody waits for.
        _exit(0)


if __name__ == "__main__":
    main()
