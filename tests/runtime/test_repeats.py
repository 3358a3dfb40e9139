from __future__ import annotations

from tubepost_runtime.repeats import BURST, MAX_KINDS, WINDOW, RepeatLimit


def test_the_first_lines_of_a_kind_pass_and_the_rest_are_counted() -> None:
    limit: RepeatLimit[str] = RepeatLimit()
    assert [limit.admit("a", 0.0) for _ in range(BURST + 5)] == [(True, 0)] * BURST + [(False, 0)] * 5
    assert limit.admit("b", 0.0) == (True, 0), "another kind has room of its own"
    assert limit.admit("a", WINDOW - 0.1) == (False, 0)
    assert limit.admit("a", WINDOW) == (True, 6)
    assert limit.admit("a", WINDOW) == (True, 0)


def test_what_was_held_back_is_told_when_a_kind_has_come_to_rest() -> None:
    limit: RepeatLimit[str] = RepeatLimit()
    for _ in range(BURST + 3):
        limit.admit("a", 0.0)
    assert limit.due(WINDOW - 0.1) == []
    assert limit.due(WINDOW) == [("a", 3)]
    assert limit.due(2 * WINDOW) == []
    assert limit.admit("a", 3 * WINDOW) == (True, 0)


def test_kinds_are_bounded() -> None:
    limit: RepeatLimit[int] = RepeatLimit()
    for number in range(MAX_KINDS + 10):
        limit.admit(number, 0.0)
    assert len(limit._kinds) == MAX_KINDS
