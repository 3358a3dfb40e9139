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
    assert diagnose(apsw.IOError("why"), opening="/queue/00").remedy is Remedy.REOPEN


def test_what_cannot_be_opened_is_named_with_what_to_do() -> None:
    text = diagnose(apsw.CantOpenError("unable"), opening="/queue/00/queue.db").failure.text
    assert "/queue/00/queue.db" in text
    assert "read and written by the dispatcher's user" in text
