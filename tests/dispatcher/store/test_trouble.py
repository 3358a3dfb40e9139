from __future__ import annotations

import apsw
import pytest

from tubepost_dispatcher.store.port import FailureKind
from tubepost_dispatcher.store.trouble import Remedy, diagnose


@pytest.mark.parametrize(
    ("error", "remedy", "kind"),
    [
        (apsw.FullError, Remedy.ROLL_BACK, FailureKind.FULL),
        (apsw.NoMemError, Remedy.ROLL_BACK, FailureKind.FAILED),
        (apsw.ReadOnlyError, Remedy.REOPEN, FailureKind.READ_ONLY),
        (apsw.PermissionsError, Remedy.REOPEN, FailureKind.READ_ONLY),
        (apsw.BusyError, Remedy.REOPEN, FailureKind.LOCKED),
        (apsw.LockedError, Remedy.REOPEN, FailureKind.LOCKED),
        (apsw.CantOpenError, Remedy.REOPEN, FailureKind.FAILED),
        (apsw.IOError, Remedy.SET_ASIDE, FailureKind.FAILED),
        (apsw.CorruptError, Remedy.SET_ASIDE, FailureKind.FAILED),
        (apsw.NotADBError, Remedy.SET_ASIDE, FailureKind.FAILED),
        (apsw.SQLError, Remedy.REOPEN, FailureKind.FAILED),
    ],
)
def test_each_error_has_a_remedy(error: type[apsw.Error], remedy: Remedy, kind: FailureKind) -> None:
    found = diagnose(error("why"))
    assert (found.remedy, found.failure.kind) == (remedy, kind)
    assert "why" in found.failure.text


def test_an_error_while_opening_sets_nothing_aside() -> None:
    assert diagnose(apsw.IOError("why"), opening=True).remedy is Remedy.REOPEN
