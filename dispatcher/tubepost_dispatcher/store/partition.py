"""One partition: its database, and what is done when that fails. Synchronous; for one thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tubepost_dispatcher.store import bundle_table
from tubepost_dispatcher.store.commit import Changes, commit, fresh, in_order
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.directory import Directory
from tubepost_dispatcher.store.port import REMEDIES, Entry, Failure, FailureKind
from tubepost_dispatcher.store.put import Put, Tell, nobody, refuse
from tubepost_dispatcher.store.reading import Reading
from tubepost_dispatcher.store.salvage import Salvage
from tubepost_dispatcher.store.trouble import Remedy, Trouble

_LOG = logging.getLogger("tubepost.store")

RESERVE: Final = 64 * 1024 * 1024
"""Bytes of the volume that stay free: for what ends and what is tried again, and for the log."""
PAUSE: Final = 1.0
"""Seconds between two attempts to open a partition, and between two looks at its size."""
LOOK: Final = 0.1
"""Seconds between two looks at the space of the volume, as long as there is enough."""
LOG_PAGES: Final = 2_000
"""Pages of 4 KiB in the log at which it is copied back."""


class Partition(Reading):
    """A directory with a database, opened when it is first needed and opened anew after a failure.

    What ended, and what is to be written anew, is remembered until it is durable, across failures.

    Args:
        path: of the directory.
        vfs: SQLite's way to the disk; empty: the operating system's.
        reserve: bytes of the volume that stay free.
        wall: unix seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        vfs: str = "",
        reserve: int = RESERVE,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(path, clock)
        self._vfs = vfs
        self.reserve = reserve
        self._wall = wall
        self._directory: Directory | None = None
        self._salvage: Salvage | None = None
        self._failure: Failure | None = None
        self._not_before = float("-inf")
        self._measure_at: float | None = None
        self._free, self._look_at = 0, float("-inf")
        self._check_at = float("-inf")
        self._lost: list[Database] = []
        """Databases whose files are in no directory any more, open until what is in them is saved."""
        self._fresh = False
        """The database replaces one that was set aside, and nothing was written to it yet."""
        self._next_key = 0
        self._ended: set[int] = set()
        self._again: dict[int, Entry] = {}

    @property
    def idle_work(self) -> float | None:
        """Seconds after which `idle` has something to do; None: nothing."""
        if self._salvage is not None:
            return max(self._not_before - self._clock(), 0.0)
        waiting = self._failure is not None or self._measure_at is not None or self._ended or self._again
        return PAUSE if waiting or self._bundled else None

    def open(self) -> Failure | None:
        """Open it, unless it is open; why it cannot be."""
        if self._directory is not None and self._database is not None and self._clock() >= self._check_at:
            self._check_at = self._clock() + LOOK
            try:
                self._directory.check()
            except Trouble as trouble:
                self._failed(trouble.failure)
                if trouble.remedy is Remedy.REPLACE:
                    self._lost.append(self._database)
                else:
                    self._database.abandon(merge=True)
                self._directory.close()
                self._directory = self._salvage = None
                self._lose_database()
                self._not_before = float("-inf")
        if self._database is None and self._clock() >= self._not_before:
            self._not_before = self._clock() + PAUSE
            try:
                self._open()
            except Trouble as trouble:
                self._handle(trouble)
        return None if self._database is not None else self._failure

    def write(
        self, puts: Sequence[Put], again: Sequence[tuple[int, Entry]], ended: Sequence[int], tell: Tell
    ) -> None:
        """One commit for all. `tell` is called after it, with those who wait and what to tell them."""
        for key, entry in again:
            self._again[key] = entry
        for key in ended:
            self._again.pop(key, None)
            self._ended.add(key)
        failure = self.open()
        if failure is None and puts:
            failure = self._full()
        if failure is not None:
            refuse(puts, failure, tell)
            puts = ()
        if self._database is None or not (puts or self._again or self._ended):
            return
        puts, key = in_order(puts), self._next_key
        try:
            self._commit(self._database, puts, {})
        except Trouble as trouble:
            if trouble.remedy is Remedy.SET_ASIDE:
                # They may have reached the file all the same, and must not come back from it.
                self._ended.update(range(key, self._next_key))
            self._handle(trouble)
            refuse(puts, trouble.failure, tell)
            if puts and trouble.remedy is Remedy.ROLL_BACK:
                self.write((), (), (), tell)
            return
        for put in puts:
            following = key + len(put.entries)  # not in one line: compiled, that would be an empty range
            keys = list(range(key, following))
            key = following
            if put.take:
                self._taken.add(keys)
            for one in () if put.take else zip(keys, put.entries, strict=True):
                self._taken.give_back(one[0], one[1].due, one[1].lane)
            tell(partial(put.done, keys))

    def release(self, keys: Sequence[int]) -> None:
        """Give entries back as they are."""
        bundled = self._bundled.find(keys)
        self._taken.drop(key for key in keys if key not in bundled)
        self._taken.look_again()
        if bundled:
            self._again.update(bundled)
            self.write((), (), (), nobody)

    # -- beside the work ------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Copy the log back when it is long."""
        database = self._database
        if database is None:
            return
        try:
            if database.log_pages >= LOG_PAGES:
                database.checkpoint()
                self.figures = self.figures._replace(checkpoints=self.figures.checkpoints + 1)
        except Trouble as trouble:
            self._handle(trouble)

    def idle(self) -> None:
        """One step of what is done when nobody waits."""
        if self._database is None or self._ended or self._again:
            self.write((), (), (), nobody)
        elif old := self._bundled.old(self._clock()):
            self._unfold(self._database, old)
        paused = self._clock() < self._not_before
        if self._database is not None and self._failure is not None and not paused and self._full() is None:
            self._succeeded()  # there was too little space
        if self._database is not None and self._measure_at is not None and self._clock() >= self._measure_at:
            self.reading(self._measure)
        if self._salvage and self._database and self._directory and not paused:
            try:
                over = self._salvage.step(self._database, self._directory)
                self._count(self._database)
                self._fresh = False
                if over:
                    del self._lost[-1:]
                    self._salvage = None
                    self._next_salvage(self._database, self._directory)
                self._taken.look_again()
            except Trouble as trouble:
                self._handle(trouble)

    def close(self) -> None:
        """Write what waits, and close."""
        if self._ended or self._again:
            self.write((), (), (), nobody)
        while self._lost and self._salvage is not None and self._clock() >= self._not_before:
            self.idle()
        if self._database is not None:
            self._unfold(self._database, self._bundled.all())
        if self._database is not None:
            try:
                self._database.close()
            except Trouble as trouble:
                _LOG.warning("queue %s: not tidied up: %s", self._path, trouble)
                self._database.abandon()
        self._database = None
        if self._directory is not None:
            self._directory.close()
        self._directory = None

    def fault(self) -> None:
        """After a fault of ours: open it anew."""
        self._handle(Trouble(Remedy.REOPEN, FailureKind.FAILED, "internal error, see the log"))

    # -- inside ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._directory is None:
            self._directory = Directory(self._path)
        directory = self._directory
        try:
            database = Database(directory.database, vfs=self._vfs)
        except Trouble as trouble:
            if trouble.remedy is not Remedy.SET_ASIDE:
                raise
            _LOG.error("queue %s: set aside: %s", self._path, trouble)
            directory.set_aside()
            database = Database(directory.database, vfs=self._vfs)
        try:
            bundle_table.unfold(database)
            known = database.after_largest_key()
            self._next_key = max(self._next_key, known, int(self._wall() * 1e6))
            if directory.set_aside_count():
                database.keep_keys_above(self._next_key)
            self.figures = self.figures._replace(damaged=database.damaged(), entries=database.entries)
            self._measure(database)
            directory.opened()
            self._next_salvage(database, directory)
        except Trouble:
            database.abandon()
            raise
        self._database = database
        self._taken.look_again()
        self._succeeded()

    def _next_salvage(self, database: Database, directory: Directory) -> None:
        aside = directory.to_salvage()
        self.figures = self.figures._replace(quarantined=directory.set_aside_count())
        if self._lost:
            # The latest first: it has what was copied out of those before it.
            self._salvage = Salvage(self._path / f"deleted-{len(self._lost)}", self._vfs, self._lost[-1])
        elif aside is not None:
            self._salvage = Salvage(aside, self._vfs)
        else:
            database.salvage_over()

    def _full(self) -> Failure | None:
        assert self._directory is not None
        if self._failure is not None or self._clock() >= self._look_at:
            try:
                self._free = self._directory.free()
            except Trouble as trouble:
                return trouble.failure
            self._look_at = self._clock() + LOOK
        if self._free >= self.reserve:
            return None
        text = f"{self._path}: {self._free} bytes free on the volume, {self.reserve} are kept in reserve"
        self._failed(Failure(FailureKind.FULL, text))
        return self._failure

    def _commit(self, database: Database, puts: Sequence[Put], unfolded: Mapping[int, Entry]) -> None:
        begun, new = self._clock(), fresh(self._next_key, puts)
        self._next_key += new.total
        if (self._again or self._ended) and not unfolded:
            gone = self._again.keys() | self._ended
            old = self._bundled.old(begun)
            unfolded = {key: entry for key, entry in old.items() if key not in gone}
        changes = Changes(self._again, self._ended, unfolded, self._salvage is not None)
        commit(database, self._bundled, new, changes, begun)
        self._fresh = False
        self._measure_at = self._measure_at or self._clock() + PAUSE
        for key, entry in self._again.items():
            self._taken.give_back(key, entry.due, entry.lane)
        self._taken.drop(self._ended)
        self._again, self._ended = {}, set()
        before, seconds = self.figures, self._clock() - begun
        self.figures = before._replace(
            entries=database.entries + len(self._bundled),
            commits=before.commits + 1,
            commit_seconds=before.commit_seconds + seconds,
        )
        if puts or (self._failure is not None and self._failure.kind is not FailureKind.FULL):
            self._succeeded()

    def _unfold(self, database: Database, entries: Mapping[int, Entry]) -> None:
        """Make rows of entries in bundles."""
        gone = self._again.keys() | self._ended
        if unfolded := {key: one for key, one in entries.items() if key not in gone}:
            try:
                self._commit(database, (), unfolded)
            except Trouble as trouble:
                self._handle(trouble)

    def _measure(self, database: Database) -> None:
        # Not at every commit: each statement has to get the interpreter's lock back.
        self._measure_at = None
        size, unused = database.size()
        self.figures = self.figures._replace(size=size + database.log_pages * 4096, unused=unused)

    # -- failing --------------------------------------------------------------------------------------

    def _handle(self, trouble: Trouble) -> None:
        self._failed(trouble.failure)
        self._not_before = self._clock() + PAUSE
        if trouble.remedy is Remedy.ROLL_BACK:
            return
        if self._database is not None:
            self._database.abandon()
            self._lose_database()
        self._salvage = None
        if trouble.remedy is Remedy.SET_ASIDE and self._directory is not None:
            try:
                if self._fresh:
                    # One after the other would pile up while a disk keeps failing.
                    self._directory.start_over()
                else:
                    self._directory.set_aside()
                    self._fresh = True
                    self._not_before = float("-inf")
            except Trouble as another:
                self._failed(another.failure)

    def _lose_database(self) -> None:
        # What has left a bundle is in its file as long as the others are.
        self._database = None
        self._ended |= self._bundled.lost()

    def _failed(self, failure: Failure) -> None:
        if self._failure is None or self._failure.kind is not failure.kind:
            # A partition that is handed over is locked for a moment.
            level = logging.WARNING if failure.kind is FailureKind.LOCKED else logging.ERROR
            remedy = REMEDIES.get(failure.kind, "")
            _LOG.log(level, "queue %s: %s: %s%s", self._path, failure.kind.value, failure.text, remedy)
        self._failure = failure
        self.figures = self.figures._replace(failure=failure)

    def _succeeded(self) -> None:
        if self._failure is not None:
            _LOG.warning("queue %s: works again", self._path)
        self._failure, self._not_before = None, float("-inf")
        self.figures = self.figures._replace(failure=None)
