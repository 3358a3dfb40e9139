from __future__ import annotations

from tubepost_importer.source import Fault, Place, decoded, printable


def test_a_caret_stands_below_the_column() -> None:
    fault = Fault(Place("e.conf", 3, 4), "wrong", "mend it", "\ta = \x1b[0m")
    assert fault.pretty() == "e.conf:3:4: wrong. Remedy: mend it.\n    \ta = \ufffd[0m\n    \t  ^"


def test_of_a_long_line_the_part_with_the_column_is_shown() -> None:
    text = "x" * 500 + "!" + "x" * 500
    _, shown, caret = Fault(Place("e.conf", 1, 501), "wrong", "mend it", text).pretty().splitlines()
    assert len(shown) < 200
    assert shown[caret.index("^")] == "!"


def test_bytes_that_are_no_utf8_are_characters() -> None:
    assert decoded(b"\xef\xbb\xbfa = \xc3\xa4") == "a = ä"
    assert decoded(b"a = \xe4") == "a = ä"


def test_what_a_terminal_could_obey_is_replaced() -> None:
    assert printable("a\tb\n\x1b\u202e") == "a\tb\ufffd\ufffd\ufffd"
