from __future__ import annotations

from tubepost_operator.liveness import SILENT_AFTER, Liveness


def test_a_watch_that_falls_silent_is_named() -> None:
    now = 0.0
    liveness = Liveness(lambda: now)
    liveness.note("secrets")
    liveness.note("pods")
    now = SILENT_AFTER - 1
    liveness.note("pods")
    assert liveness.silent() == []
    now = SILENT_AFTER + 1
    assert liveness.silent() == ["secrets"]
    assert liveness.ages() == {"pods": 2.0, "secrets": SILENT_AFTER + 1}
    liveness.forget()
    assert liveness.silent() == []


def test_a_watch_that_goes_on_trying_is_not_what_a_restart_mends() -> None:
    now = 0.0
    liveness = Liveness(lambda: now)
    liveness.note("secrets")
    liveness.note("pods")
    liveness.tried("unheard")
    now = SILENT_AFTER - 1
    liveness.tried("pods")
    now = SILENT_AFTER + 1
    assert liveness.silent() == ["secrets"]
    assert liveness.ages()["pods"] == SILENT_AFTER + 1, "its age is that of what it brought"
    liveness.drop("secrets")
    assert liveness.silent() == []
    now = 2 * SILENT_AFTER
    assert liveness.silent() == ["pods"]
