"""A disk that loses power: an ext4 of its own, of which a cut leaves what was synced, and drops the rest.

What a killed process has written is in the kernel's cache, and comes to the disk all the same: SIGKILL tells nothing
of syncs. Here the file system is shut down under its processes (EXT4_IOC_SHUTDOWN, without a flush of its log),
unmounted and mounted again, so that its journal is replayed as after a power cut. It is a file, mounted in a mount
namespace of its own that goes with the test. What a drive's own cache would lose on top is not simulated.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.peers import tools
from tests.peers.process import START, PeerError, Process

PROGRAMS = ("mke2fs", "mount", "umount", "nsenter", "unshare")
"""Of e2fsprogs and util-linux."""
_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
"""EXT4_IOC_SHUTDOWN (fs/ext4/ext4.h): _IOR('X', 125, __u32)."""
_NO_LOG_FLUSH = struct.pack("=I", 2)
"""EXT4_GOING_FLAGS_NOLOGFLUSH: neither data nor the journal's open transaction is written."""
_OPTIONS = "loop,noatime,commit=300,noauto_da_alloc"
"""Nothing but a sync writes: no commit of the journal every 5 s, no data with a rename."""


def require() -> None:
    """Without root, loop devices or the programs a test fails in CI, and is skipped loudly elsewhere."""
    tools.require_loop_devices()
    for program in PROGRAMS:
        tools.require(program)


class Disk(Process):
    """A disk with the `with` block; who writes to it is started by `prefix`, and uses `path`."""

    def __init__(self, directory: Path, mebibytes: int = 256) -> None:
        require()
        self._image = directory / "disk.img"
        self.path = directory / "disk"
        """Where it is, for processes started by `prefix`; for others there is an empty directory."""
        self.path.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(mebibytes << 20)
        # Everything is initialised now: nothing writes later by itself.
        made = [
            str(tools.find("mke2fs")),
            "-q",
            "-F",
            "-t",
            "ext4",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
        ]
        subprocess.run([*made, str(self._image)], check=True, stdin=subprocess.DEVNULL)
        script = f'mount -o {_OPTIONS} "$1" "$2" && echo mounted && exec cat >/dev/null'
        unshare = [str(tools.find("unshare")), "--mount", "--propagation", "private"]
        super().__init__([*unshare, "sh", "-c", script, "sh", str(self._image), str(self.path)])

    def ready(self) -> None:
        """Wait until it is mounted."""
        self.first_line()

    @property
    def prefix(self) -> list[str]:
        """A program that runs another one where the disk is; it becomes that program."""
        return [str(tools.find("nsenter")), f"--target={self.pid}", "--mount"]

    @property
    def outside(self) -> Path:
        """The disk as processes see it that were not started by `prefix`: to look at."""
        return Path(f"/proc/{self.pid}/root") / self.path.relative_to("/")

    def cut(self, pids: Iterable[int]) -> None:
        """The power is gone, while these processes run; they are stopped for good, and have to be killed."""
        still(pids)
        directory = os.open(self.outside, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(directory)

    def back(self) -> None:
        """The power is back, with what was synced; once those who had been writing are killed.

        Raises:
            PeerError: it cannot be unmounted or mounted.
        """
        self._run("umount", str(self.path))
        self._run("mount", "-o", _OPTIONS, str(self._image), str(self.path))

    def stop(self) -> None:
        """It goes, with all that is on it."""
        super().stop()
        self._image.unlink(missing_ok=True)

    def _run(self, *command: str) -> None:
        deadline = time.monotonic() + START
        while True:
            done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False)
            if not done.returncode:
                return
            # Killed processes that nobody waits for have their files open for a moment longer.
            if "busy" not in done.stderr or time.monotonic() > deadline:
                raise PeerError(f"{' '.join(command)}: {done.stderr}")
            time.sleep(0.02)


def still(pids: Iterable[int]) -> None:
    """Stop processes by SIGSTOP, and wait until no thread of theirs runs.

    Raises:
        PeerError: one still runs.
    """
    members = list(pids)
    for pid in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + START
    while any(_state(task) in "RS" for pid in members for task in Path("/proc").glob(f"{pid}/task/*")):
        if time.monotonic() > deadline:
            raise PeerError("a process that was to be stopped runs")
        time.sleep(0.002)  # another process's state has no event


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"
