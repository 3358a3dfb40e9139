"""Whatever happens in whatever order: what was acknowledged is there exactly until it has ended.

The disk loses what was not synced whenever the power goes, and fails, or is full, when it is told to.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import apsw
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.dispatcher.store.support import NOW, Disk, Sync, an_entry, failing
from tubepost_dispatcher.store.port import Entry, Failure


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="tubepost-store-"))
        self.disk = Disk()
        self.disk.track = True
        self.store = Sync(self.root / "p", self.disk)
        self.number = 0
        self.kept: dict[int, set[Entry]] = {}
        """What must be there, with the states that it may be in."""
        self.perhaps: set[int] = set()
        """What may be there: its end may have met a failure."""
        self.refused: set[str] = set()
        """Message ids that may be there: a put that was refused may have reached a disk that failed."""
        self.taken: set[int] = set()

    def _failing(self) -> bool:
        return self.store.partition.figures.failure is not None

    @rule(count=st.integers(1, 40), take=st.booleans(), due=st.integers(0, 20))
    def put(self, count: int, take: bool, due: int) -> None:
        entries = []
        for _ in range(count):
            self.number += 1
            entries.append(an_entry(self.number, due=NOW + due))
        answer = self.store.put(*entries, take=take)
        if isinstance(answer, Failure):
            self.refused.update(entry.message_id for entry in entries)
            return
        assert not set(answer) & set(self.kept)
        self.kept.update({key: {entry} for key, entry in zip(answer, entries, strict=True)})
        if take:
            self.taken.update(answer)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        self.taken.discard(key)
        self.kept.pop(key)
        self.perhaps.add(key)
        self.store.ended(key)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), due=st.integers(0, 20))
    def again(self, data: Any, due: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        self.taken.discard(key)
        self.number += 1
        entry = an_entry(self.number, due=NOW + due)
        self.kept[key].add(entry)
        self.store.again(key, entry)

    @rule(due=st.integers(0, 20), limit=st.integers(1, 30))
    def read_due(self, due: int, limit: int) -> None:
        found = self.store.partition.due(NOW + due, limit)
        if isinstance(found, Failure):
            return
        keys = [one.key for one in found]
        assert not set(keys) & self.taken
        times = [one.entry.due for one in found]
        assert times == sorted(times)
        for key, entry in found:
            if key in self.kept:
                assert entry in self.kept[key]
                self.kept[key] = {entry}
                self.taken.add(key)
            else:
                assert key in self.perhaps or entry.message_id in self.refused, (
                    "handed out what was never acknowledged, or has ended"
                )
                self.store.ended(key)

    @rule()
    def power_cut(self) -> None:
        self.store.drop_dead()
        self.disk.power_cut()
        self._reopen()

    @rule()
    def killed(self) -> None:
        self.store.drop_dead()
        self._reopen()

    @rule()
    def closed(self) -> None:
        self.store.partition.close()
        self._reopen()

    @rule(times=st.integers(1, 3), only=st.sampled_from(["", "-wal", "queue.db"]))
    def next_syncs_fail(self, times: int, only: str) -> None:
        self.disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, only=only, times=times)

    @rule(times=st.integers(1, 3))
    def is_full(self, times: int) -> None:
        self.disk.on_write = failing(apsw.FullError, apsw.SQLITE_FULL, only="-wal", times=times)

    @rule()
    def time_passes(self) -> None:
        self.store.clock.now += 2.0
        self.store.partition.tidy()
        self.store.partition.idle()

    @invariant()
    def what_is_taken_was_acknowledged(self) -> None:
        assert self.taken <= set(self.kept)

    def _reopen(self) -> None:
        self.taken.clear()
        self.store = Sync(self.root / "p", self.disk)

    def teardown(self) -> None:
        self.disk.on_sync = self.disk.on_write = lambda _: None
        self.store.clock.now += 2.0
        self.store.partition.open()
        self.store.settle()
        present = self.store.all()
        try:
            missing = set(self.kept) - set(present)
            assert not missing, f"{len(missing)} acknowledged entries are lost"
            for key, states in self.kept.items():
                assert present[key] in states
            strange = {
                key
                for key in set(present) - set(self.kept) - self.perhaps
                if present[key].message_id not in self.refused
            }
            assert not strange, f"{len(strange)} entries that nobody acknowledged"
        finally:
            self.store.drop_dead()
            shutil.rmtree(self.root)


StoreMachine.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestStore = StoreMachine.TestCase
