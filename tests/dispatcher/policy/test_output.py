from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.policy.output import MAX_LINE, Lines, crashed_at, loggable


@given(st.lists(st.binary(max_size=3_000), max_size=20))
def test_whatever_is_printed_becomes_short_clean_lines(pieces: list[bytes]) -> None:
    lines = Lines()
    for piece in pieces:
        for text in lines.feed(piece):
            assert 0 < len(text) <= MAX_LINE
            assert text.isprintable()
    assert len(lines._rest) <= 4 * MAX_LINE


def test_lines_come_whole_and_tokens_in_short_form() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed(b"o\r\n\n") == ["two"]
    assert loggable("token " + "ab" * 32) == "token abababab..."
    assert loggable("Grüße\x1b[31m") == "Grüße?[31m"
    assert loggable("turned \u202eround, \u2028, \u05f5") == "turned ?round, ?, ?"


def test_the_line_of_a_crash() -> None:
    trace = b'Fatal Python error: Aborted\n\nCurrent thread (most recent call first):\n  File "/usr/lib/x.py", line 5 in f\n  File "policy.py", line 12 in apn_request_eval\n  File "policy.py", line 30 in main\n'
    assert crashed_at(trace) == (12, "apn_request_eval")
    assert crashed_at(b"") == (0, "")
