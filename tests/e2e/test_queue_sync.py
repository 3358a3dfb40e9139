"""By the system calls of all processes: the disk has a message, synced, before its 250 is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.injector import Injector
from tests.e2e.queue_site import QueueSite
from tests.peers.tools import require

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue"), pytest.mark.timeout(200)]

MESSAGES = 60
_SENDS = frozenset({"write", "writev", "sendto", "sendmsg"})
_CALL = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()")


def _calls(trace: Path) -> Iterator[tuple[str, str, int, int, bool]]:
    """Name, arguments, line at which it began, line at which it returned, whether it returned a number >= 0."""
    begun: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        found = _CALL.match(line)
        if found is None:
            continue
        pid, resumed, name = found.groups()
        if "<unfinished ...>" in line:
            begun[pid] = (line, number)
            continue
        text, start = line, number
        if resumed:
            text, start = begun.pop(pid)
        yield name or resumed, text, start, number, re.search(r"= \d+$", line) is not None


def test_a_sync_of_the_log_returns_before_every_250(tmp_path: Path) -> None:
    site, trace = QueueSite(tmp_path), tmp_path / "trace"
    with site.peer():
        dispatcher = site.dispatcher()
        dispatcher.prefix = [
            str(require("strace")),
            *("-D", "-f", "-y", "-q", "-s", "5000", "-o", str(trace)),
            *("-e", "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg", "-e", "signal=none"),
        ]
        with dispatcher:
            with Injector(site.smtp_port, 5, total=MESSAGES) as injector:
                injector.join(100.0)
            assert dispatcher.stop() == 0
    assert len(injector.accepted) == MESSAGES
    calls = list(_calls(trace))
    log = "queue.db-wal>"
    syncs = [
        (start, end)
        for name, text, start, end, ok in calls
        if name in {"fsync", "fdatasync"} and log in text and ok
    ]
    writes = [(text, end) for name, text, _, end, ok in calls if name == "pwrite64" and log in text and ok]
    replies = [(text, start) for name, text, start, _, _ in calls if name in _SENDS and "Queued as " in text]
    for text in injector.accepted.values():
        identity = text.split()[-1]
        written = min(end for data, end in writes if identity in data)
        (said,) = (start for data, start in replies if identity in data)
        assert any(written < start and end < said for start, end in syncs), (written, said, syncs)
