from __future__ import annotations

from tubepost_operator.vitals import SILENT_AFTER, Vitals


def test_a_watch_that_falls_silent_is_named() -> None:
    now = 0.0
    vitals = Vitals(lambda: now)
    vitals.note("secrets")
    vitals.note("pods")
    now = SILENT_AFTER - 1
    vitals.note("pods")
    assert vitals.silent() == []
    now = SILENT_AFTER + 1
    assert vitals.silent() == ["secrets"]
    assert vitals.ages() == {"pods": 2.0, "secrets": SILENT_AFTER + 1}
    vitals.forget()
    assert vitals.silent() == []
