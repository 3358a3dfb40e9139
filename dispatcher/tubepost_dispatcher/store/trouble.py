"""What goes wrong with a database file, and what is to be done about it."""

from __future__ import annotations

import enum

import apsw

from tubepost_dispatcher.store.port import Failure, FailureKind


class Remedy(enum.Enum):
    """What the owner of a database does about a trouble."""

    ROLL_BACK = "nothing was written, and the file is as it was"
    REOPEN = "close the file, and look again later"
    REPLACE = "it is in no directory any more: go on with a fresh one, and save what is in it"
    SET_ASIDE = "the file is not to be trusted: go on with a fresh one, and save what can be read"


class Trouble(Exception):
    """A database cannot do what it was asked to; nothing of it was acknowledged.

    Args:
        remedy: what to do.
        kind: what those are told who wait.
        text: in words.
    """

    def __init__(self, remedy: Remedy, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.remedy = remedy
        self.failure = Failure(kind, text)


def diagnose(error: apsw.Error, *, opening: str = "") -> Trouble:
    """Say what an error of SQLite means for the file; `opening`: its path, while it is being opened.

    After a failed fsync Linux counts pages as written that are not: asking again would be answered with a
    yes that is false. So an I/O error is never followed by another attempt with the same file, except while
    it is being opened, when nothing has been written yet.
    """
    text = f"{opening}{': ' if opening else ''}{type(error).__name__}: {error}"
    match error:
        case apsw.FullError():
            return Trouble(Remedy.ROLL_BACK, FailureKind.FULL, f"the volume is full ({text})")
        case apsw.NoMemError():
            return Trouble(Remedy.ROLL_BACK, FailureKind.FAILED, f"out of memory ({text})")
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return Trouble(Remedy.REOPEN, FailureKind.READ_ONLY, f"cannot be written to ({text})")
        case apsw.BusyError() | apsw.LockedError():
            return Trouble(
                Remedy.REOPEN, FailureKind.LOCKED, f"the database is open in another process ({text})"
            )
        case apsw.CantOpenError():
            return Trouble(
                Remedy.REOPEN,
                FailureKind.FAILED,
                f"cannot be opened: see that its directory is there, and that it and its files may be read"
                f" and written by the dispatcher's user ({text})",
            )
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
            return Trouble(Remedy.SET_ASIDE, FailureKind.FAILED, f"damaged ({text})")
        case apsw.IOError() if not opening:
            return Trouble(Remedy.SET_ASIDE, FailureKind.FAILED, f"the disk failed ({text})")
        case _:
            return Trouble(Remedy.REOPEN, FailureKind.FAILED, text)
