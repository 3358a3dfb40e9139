"""The database of one partition: tables, statements, and what its errors mean. Synchronous; for one thread.

SQLite in WAL mode with synchronous=FULL: a commit returns after the log is synced. The connection has the
file to itself (`locking_mode`), so the log's index is in its memory and not in a mapped file, which could
fault when a volume is full. Statements take many rows at once: each step of a statement gives up the
interpreter's lock and has to get it back from a busy event loop.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from tubepost_dispatcher.store.log import lost_commits
from tubepost_dispatcher.store.port import Entry, FailureKind, Filter, Kept, LaneHead, Page, Tally
from tubepost_dispatcher.store.row import (
    COLUMNS,
    COUNTED,
    GROUP,
    READ,
    condition,
    counted,
    insert,
    is_fresh,
    sound,
    values_of,
)
from tubepost_dispatcher.store.schema import APPLICATION, SCHEMA, made_since
from tubepost_dispatcher.store.trouble import Remedy, Trouble, diagnose

LOOKED_AT: Final = 5_000
"""Rows that one page looks at, or one step of a tally: some milliseconds."""
AT_LENGTH: Final = 8
"""How many times as many they look at when there is patience: each row of an answer waits for the
interpreter's lock."""
LEAST_LANE: Final = 0
"""No lane is lower."""
_EXACT: Final = 64
"""Rows up to which an INSERT has as many as there are: that is one statement."""
_ROWS: Final = (256, 128, _EXACT)
"""Rows of an INSERT above that. A few sizes, so that prepared statements are found again."""


class Database:
    """One open database file; made when it does not exist.

    Args:
        path: of the file.
        vfs: SQLite's way to the disk; empty: the operating system's.
        read_only: do not change it, and do not wait for a lock on it.

    Raises:
        Trouble: it cannot be opened; from every method: it cannot do that.
    """

    def __init__(self, path: Path, *, vfs: str = "", read_only: bool = False) -> None:
        self.log_pages = 0
        """Pages in the log since it was last copied back."""
        self.entries = 0
        """Rows in the queue, those of an open transaction included."""
        self.version = 0
        """Of its schema; below `SCHEMA` only where it is read as an older release left it."""
        try:
            flags = apsw.SQLITE_OPEN_READWRITE | (0 if read_only else apsw.SQLITE_OPEN_CREATE)
            self._db = apsw.Connection(str(path), flags=flags, vfs=vfs or None, statementcachesize=150)
        except apsw.Error as error:
            raise diagnose(error, opening=str(path)) from None
        try:
            self._prepare(path, read_only=read_only)
        except (apsw.Error, Trouble) as error:
            self.abandon()
            raise (error if isinstance(error, Trouble) else diagnose(error, opening=str(path))) from None

    def _prepare(self, path: Path, *, read_only: bool) -> None:
        db = self._db
        # What is in the log stays there when the file is closed in trouble, or was opened to be read.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.pragma("locking_mode", "exclusive")
        if read_only:
            # So that a file which was cut off can be read as far as it goes.
            db.pragma("writable_schema", 1)
        db.pragma("cache_size", -8192)
        if db.readonly("main"):
            raise Trouble(Remedy.REOPEN, FailureKind.READ_ONLY, f"{path} cannot be written to")
        application, version = db.pragma("application_id"), db.pragma("user_version")
        self.version = version
        if application == APPLICATION and version > SCHEMA:
            raise Trouble(
                Remedy.REOPEN,
                FailureKind.NEWER,
                f"{path} has schema {version}, written by a later release; this one reads up to {SCHEMA}."
                " Run that release again, or move the file away",
            )
        self.lost = lost_commits(path, max(db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0], 0))
        """Commits in the log, behind a place that cannot be read."""
        if read_only:
            return
        if self.lost:
            raise Trouble(Remedy.SET_ASIDE, FailureKind.FAILED, f"the log of {path} is damaged")
        # Our own checkpoints: SQLite's automatic ones do not report that they failed.
        db.set_wal_hook(self._logged)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        if application != APPLICATION:
            if db.pragma("schema_version"):
                raise Trouble(Remedy.SET_ASIDE, FailureKind.FAILED, f"{path} is not a queue's database")
            version = 0
        if version < SCHEMA:
            with db:
                db.execute(made_since(version))
                db.pragma("application_id", APPLICATION)
                db.pragma("user_version", SCHEMA)
            self.version = SCHEMA
        self.entries = int(self.rows("SELECT count(*) FROM queue")[0][0])

    def _logged(self, db: apsw.Connection, name: str, pages: int) -> int:
        del db, name
        self.log_pages = pages
        return apsw.SQLITE_OK

    # -- writing --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside, or nothing; durable when it has been left."""
        before = self.entries
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self.entries = before
                with contextlib.suppress(apsw.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise
        except apsw.Error as error:
            raise diagnose(error) from None

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that changes something; outside of a transaction it is durable then."""
        try:
            self._db.execute(statement, values)
        except apsw.Error as error:
            raise diagnose(error) from None

    def write(self, rows: Sequence[tuple[int, Entry]], *, conflict: str = "ABORT") -> None:
        """Insert rows; `conflict` is ABORT, REPLACE or IGNORE."""
        start = 0
        if conflict == "REPLACE" and rows:
            present = "SELECT count(*) FROM queue WHERE key IN carray(?)"
            self.entries -= int(self.rows(present, (array_of([key for key, _ in rows]),))[0][0])
        fresh = is_fresh(rows)
        while left := len(rows) - start:
            size = left if left <= _EXACT else next(size for size in _ROWS if size <= left)
            some = rows[start : start + size]
            self._db.execute(insert(size, fresh=fresh, conflict=conflict), values_of(some, fresh=fresh))
            self.entries += self._db.changes()
            start += size

    def remove(self, keys: Sequence[int], *, remember: bool = False) -> None:
        """Delete rows; `remember` that they are gone, for a salvage that has not come to them yet."""
        if not keys:
            return
        bound = (array_of(keys),)
        self._db.execute("DELETE FROM queue WHERE key IN carray(?)", bound)
        self.entries -= self._db.changes()
        if remember:
            self._db.execute("INSERT OR IGNORE INTO gone SELECT value FROM carray(?)", bound)

    def set_aside(self, keys: Sequence[int]) -> None:
        """Move damaged rows out of the queue."""
        bound = (array_of(keys),)
        with self.transaction():
            self._db.execute(
                f"INSERT INTO damaged({COLUMNS}) SELECT {COLUMNS} FROM queue"  # noqa: S608 - constants
                " WHERE key IN carray(?)",
                bound,
            )
            self._db.execute("DELETE FROM queue WHERE key IN carray(?)", bound)
            self.entries -= self._db.changes()

    def keep_keys_above(self, least: int) -> None:
        """Give no key below `least` to a new entry, whatever the clock says."""
        with self.transaction():
            self._db.execute("DELETE FROM keys")
            self._db.execute("INSERT INTO keys VALUES (?)", (least,))

    def checkpoint(self, *, truncate: bool = False) -> None:
        """Copy the log back into the file, so that it can start over."""
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._db.wal_checkpoint(mode=mode)
        except apsw.Error as error:
            raise diagnose(error) from None
        self.log_pages = 0

    # -- reading --------------------------------------------------------------------------------------

    def after_largest_key(self) -> int:
        """A key that no entry has had, as far as this file knows."""
        found = self.rows(
            "SELECT max(coalesce((SELECT max(key) FROM queue), 0), coalesce((SELECT max(key) FROM gone), 0),"
            " coalesce((SELECT max(least) FROM keys), 0))"
        )
        return int(found[0][0]) + 1

    def damaged(self) -> int:
        """Rows set aside."""
        return int(self.rows("SELECT count(*) FROM damaged")[0][0])

    def due(self, after: tuple[float, int], now: float, limit: int, lane: int = 0) -> list[tuple[float, int]]:
        """Due times and keys of a lane behind `after`, in order."""
        # Two statements, since one with (due, key) > (?, ?) would pass over all that are due at one time.
        found = self.rows(
            "SELECT due, key FROM queue INDEXED BY queue_lane"
            " WHERE lane = ? AND due = ? AND key > ? AND due <= ? ORDER BY key LIMIT ?",
            (lane, *after, now, limit),
        )
        if len(found) < limit:
            found += self.rows(
                "SELECT due, key FROM queue INDEXED BY queue_lane"
                " WHERE lane = ? AND due > ? AND due <= ? ORDER BY due, key LIMIT ?",
                (lane, after[0], now, limit - len(found)),
            )
        return [(float(due), int(key)) for due, key in found]

    def lanes(self, after: int | None, limit: int) -> list[LaneHead]:
        """The first entries of the lanes behind `after`, in order of the lanes."""
        heads: list[LaneHead] = []
        place = LEAST_LANE - 1 if after is None else after
        while len(heads) < limit and (
            found := self.rows(
                "SELECT lane, due, CAST(domain AS BLOB) FROM queue INDEXED BY queue_lane"
                " WHERE lane > ? ORDER BY lane, due, key LIMIT 1",
                (place,),
            )
        ):
            place, due, domain = found[0]
            heads.append(LaneHead(place, due, domain.decode("utf-8", "replace")))
        return heads

    def expired(
        self, lane: int, after: tuple[float, int], now: float, look_at: int, limit: int
    ) -> tuple[list[tuple[float, int]], tuple[float, int] | None]:
        """Entries of a lane that have expired, behind `after`, and where to go on; None: at the next lane.

        Those that are held come last in their lane, and are not looked at.
        """
        # As in `due`. The index has all that is asked for: no row is read.
        found: list[tuple[float, int]] = []
        for terms, values in (
            ("due = ? AND key > ?", after),
            ("due > ? AND due < 9e999", after[:1]),
        ):
            source = f"FROM queue INDEXED BY queue_lane WHERE lane = ? AND {terms}"
            bound = self.rows(
                f"SELECT due, key {source} ORDER BY due, key LIMIT 1 OFFSET ?", (lane, *values, look_at - 1)
            )
            found += self.rows(
                f"SELECT due, key FROM (SELECT due, key, expires {source} ORDER BY due, key LIMIT ?)"  # noqa: S608
                " WHERE expires <= ? LIMIT ?",
                (lane, *values, look_at, now, limit - len(found)),
            )
            if len(found) >= limit:
                return found, found[-1]
            if bound:
                return found, bound[0]
        return found, None

    def read(self, keys: Sequence[int]) -> tuple[list[Kept], list[int]]:
        """Rows by key, in the order of `keys`, and the keys of those that are damaged."""
        if not keys:
            return [], []
        found = self.rows(
            f"SELECT {READ} FROM queue WHERE key IN carray(?)",  # noqa: S608 - constants
            (array_of(keys),),
        )
        good, bad = sound(found)
        by_key = {one.key: one for one in good}
        return [by_key[key] for key in keys if key in by_key], bad

    def page(
        self, which: Filter, after: int | None, limit: int, stretches: int = 1
    ) -> tuple[Page, list[int]]:
        """One page, and the keys of damaged rows in it."""
        start, upper = self._stretch(after, stretches)
        terms, values = condition(which, start, upper)
        rows = self.rows(
            f"SELECT {READ} FROM queue WHERE {terms} ORDER BY key LIMIT ?",  # noqa: S608
            (*values, limit),
        )
        good, bad = sound(rows)
        return Page(tuple(good), int(rows[-1][0]) if len(rows) == limit else upper), bad

    def tally(self, which: Filter, now: float, after: int | None, stretches: int = 1) -> Tally:
        """Count some of the queue, by what its entries have in common."""
        start, upper = self._stretch(after, stretches)
        terms, values = condition(which, start, upper)
        rows = self.rows(
            f"SELECT {COUNTED} FROM queue WHERE {terms} GROUP BY {GROUP} ORDER BY {GROUP}",  # noqa: S608
            (now, *values),
        )
        looked_at = LOOKED_AT * stretches
        if upper is None:
            looked_at = int(self.rows("SELECT count(*) FROM queue WHERE key > ?", (start,))[0][0])
        return Tally(tuple(counted(row) for row in rows), looked_at, upper)

    def _stretch(self, after: int | None, stretches: int) -> tuple[int, int | None]:
        """Between which keys there are so many times `LOOKED_AT` entries; None: fewer, up to the end."""
        start = -1 if after is None else after
        bound = self.rows(
            "SELECT key FROM queue WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?",
            (start, LOOKED_AT * stretches - 1),
        )
        return start, int(bound[0][0]) if bound else None

    # -- salvage --------------------------------------------------------------------------------------

    def salvaged_to(self, name: str) -> int:
        """The key up to which the database set aside as `name` has been copied."""
        found = self.rows("SELECT done_to FROM salvage WHERE name = ?", (name,))
        return int(found[0][0]) if found else -1

    def salvage(self, name: str, rows: Sequence[Kept], done_to: int) -> None:
        """Write rows of the database set aside as `name`, but those that have ended or are here already."""
        with self.transaction():
            if rows:
                ends = (min(one.key for one in rows), max(one.key for one in rows))
                gone = {row[0] for row in self.rows("SELECT key FROM gone WHERE key BETWEEN ? AND ?", ends)}
                self.write([one for one in rows if one.key not in gone], conflict="IGNORE")
            self._db.execute("INSERT OR REPLACE INTO salvage VALUES (?, ?)", (name, done_to))

    def gone(self) -> list[int]:
        """Keys that ended before they were salvaged."""
        return [int(key) for (key,) in self.rows("SELECT key FROM gone")]

    def salvage_over(self) -> None:
        """Forget what was remembered for salvage."""
        with self.transaction():
            self._db.execute("DELETE FROM gone")
            self._db.execute("DELETE FROM salvage")

    def rows_between(
        self, low: int, high: int, limit: int, *, descending: bool = False
    ) -> tuple[list[Kept], int, int | None]:
        """Sound rows with low < key < high, how many others, and the last key; None: there was no row."""
        order = "DESC" if descending else "ASC"
        rows = self.rows(
            f"SELECT {READ} FROM queue WHERE key > ? AND key < ? ORDER BY key {order} LIMIT ?",  # noqa: S608
            (low, high, limit),
        )
        good, bad = sound(rows)
        return good, len(bad), int(rows[-1][0]) if rows else None

    # -- the file -------------------------------------------------------------------------------------

    def size(self) -> tuple[int, int]:
        """Bytes of the file without its log, and how many of them are unused."""
        try:
            page = self._db.pragma("page_size")
            return page * self._db.pragma("page_count"), page * self._db.pragma("freelist_count")
        except apsw.Error as error:
            raise diagnose(error) from None

    def close(self) -> None:
        """Copy the log back and close."""
        self.checkpoint(truncate=True)
        self.abandon()

    def abandon(self, *, merge: bool = False) -> None:
        """Close, and leave the files as they are; `merge`: but copy the log back if that is possible."""
        with contextlib.suppress(apsw.Error):
            if merge:
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._db.close(True)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a statement selects."""
        try:
            return list(self._db.execute(statement, values))
        except apsw.Error as error:
            raise diagnose(error) from None


def array_of(keys: Sequence[int]) -> Any:
    """Keys as one value, for `carray(?)`."""
    return apsw.carray(array("q", keys))
