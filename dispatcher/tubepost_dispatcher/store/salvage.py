"""Saves what can be read of a database that was set aside, a few hundred entries at a time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from tubepost_dispatcher.store import bundle_table
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.directory import FILE, Directory
from tubepost_dispatcher.store.port import FailureKind, Kept
from tubepost_dispatcher.store.trouble import Remedy, Trouble

_LOG = logging.getLogger("tubepost.store")

STEP: Final = 500
"""Entries of one step, which is one commit."""
_ABOVE: Final = 2**63 - 1


class Salvage:
    """Copies entries in the order of their keys; from a place that cannot be read, backwards from the end.

    How far it is stands in the new database, so that what has ended meanwhile does not come back after a
    restart.

    Args:
        aside: the directory that was set aside.
        vfs: SQLite's way to the disk.
        opened: the database itself, where it is in no directory any more; `aside` is its name then.
    """

    def __init__(self, aside: Path, vfs: str, opened: Database | None = None) -> None:
        self._aside = aside
        self._vfs = vfs
        self._opened = opened
        self._old: Database | None = None
        self._at = -1
        self._upper = _ABOVE
        self._backwards = False
        self._broken = False
        self._saved = 0
        self._damaged = 0

    def step(self, database: Database, directory: Directory) -> bool:
        """Copy some. Returns whether that was all.

        Raises:
            Trouble: of the new database, not of the old one.
        """
        if self._old is None:
            self._at = database.salvaged_to(self._aside.name) if self._opened is None else -1
            try:
                self._old = self._opened or Database(self._aside / FILE, vfs=self._vfs, read_only=True)
                self._damaged = self._old.damaged() + self._old.lost
                ended = self._old.gone() if self._opened is not None else ()
            except Trouble as trouble:
                return self._over(directory, trouble)
            if ended:
                with database.transaction():
                    database.remove(ended, remember=True)
            self._save_bundles(self._old, database)
        rows, damaged, last = self._read(self._old)
        if last is None:
            self._damaged += damaged
            if self._broken and not self._backwards:
                self._backwards = True
                return False
            return self._over(directory, None)
        # Where that fails the same step is taken again.
        database.salvage(self._aside.name, rows, self._at if self._backwards else last)
        self._damaged += damaged
        self._saved += len(rows)
        if self._backwards:
            self._upper = last
        else:
            self._at = last
        return False

    def _save_bundles(self, old: Database, database: Database) -> None:
        bundles = bundle_table.read(old)
        while True:
            try:
                good, bad = next(bundles, (None, ()))
            except Trouble as trouble:
                _LOG.error("queue: %s: %s", self._aside, trouble)
                self._broken = True
                return
            if good is None:
                return
            self._damaged += len(bad)
            self._saved += len(good)
            database.salvage(self._aside.name, good, self._at)

    def _read(self, old: Database) -> tuple[list[Kept], int, int | None]:
        try:
            return self._between(old, STEP)
        except Trouble as trouble:
            if not self._broken:
                _LOG.error("queue: %s: %s", self._aside, trouble)
            self._broken = True
        try:
            # One by one up to the place that cannot be read.
            return self._between(old, 1)
        except Trouble:
            return [], 0, None

    def _between(self, old: Database, count: int) -> tuple[list[Kept], int, int | None]:
        good, bad, last = old.rows_between(self._at, self._upper, count, descending=self._backwards)
        if last is not None and not self._at < last < self._upper:
            # A damaged tree leads anywhere, and round in circles.
            raise Trouble(Remedy.SET_ASIDE, FailureKind.FAILED, "keys are out of order")
        return good, bad, last

    def _over(self, directory: Directory, trouble: Trouble | None) -> bool:
        if self._old is not None:
            self._old.abandon()
        if self._opened is not None:
            _LOG.error("queue: %d entries saved of what had been deleted: %s", self._saved, self._aside)
        elif trouble is None and not self._broken and not self._damaged:
            directory.discard(self._aside)
            _LOG.warning("queue: all %d entries of %s saved", self._saved, self._aside)
        else:
            directory.keep(self._aside)
            _LOG.error("queue: %d entries of %s saved, not all: it is kept", self._saved, self._aside)
        return True
