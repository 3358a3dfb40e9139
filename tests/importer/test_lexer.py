from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_importer import lexer
from tubepost_importer.lexer import Lexer


def words(text: str) -> list[tuple[str, str]]:
    read = Lexer("e.conf", text)
    assert read.faults == []
    return [(token.kind, token.text) for token in read.tokens[:-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b # c", ["a", "=", "b"]),
        ("a /* b\n { */ c", ["a", "c"]),
        ("a=10.0.0.0/8", ["a", "=", "10.0.0.0/8"]),
        ("a(b)[c]{d}", ["a", "(", "b", ")", "[", "c", "]", "{", "d", "}"]),
        ('("from", "to")', ["(", "from", ",", "to", ")"]),
        ("(a,b)", ["(", "a,b", ")"]),
        ("'it is' \"a 'b'\"", ["it is", "a 'b'"]),
        ("\ufeffa\r\nb", ["a", "b"]),
        ("a/*b*/c", ["a", "c"]),
        ("a = b#c", ["a", "=", "b"]),
        ('a = "b#c /* d"', ["a", "=", "b#c /* d"]),
    ],
)
def test_words_and_signs(text: str, expected: list[str]) -> None:
    assert [word for _, word in words(text)] == expected


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r'"/^(a|b)\.fr$/"', r"/^(a|b)\.fr$/"),
        (r'"say \"hi\""', 'say "hi"'),
        (r'"a\\b"', r"a\b"),
        (r'"a\\"', "a\\"),
        ('"two\nlines"', "two\nlines"),
        ('""', ""),
    ],
)
def test_a_backslash_goes_before_quotes_and_backslashes_only(written: str, text: str) -> None:
    assert words(written) == [("string", text)]


def test_an_expression_may_stand_without_quotes() -> None:
    assert words(r"Domain /yahoo\.co(m|\.uk)$/ {") == [
        ("word", "Domain"),
        ("word", r"/yahoo\.co(m|\.uk)$/"),
        ("{", "{"),
    ]


def test_places_count_lines_and_characters() -> None:
    tokens = Lexer("e.conf", 'a\n  "x\ny" b').tokens
    assert [(t.place.line, t.place.column, t.last_line) for t in tokens] == [
        (1, 1, 1),
        (2, 3, 3),
        (3, 4, 3),
        (3, 5, 3),
    ]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('a = "b\nc = d', "e.conf:1:5", "never closed"),
        ("a /* b", "e.conf:1:3", "comment"),
        ("a = “b”", "e.conf:1:5", "typographic"),
        ("a = b” c", "e.conf:1:6", "typographic"),
    ],
)
def test_what_cannot_be_read_is_a_fault_at_its_place(text: str, place: str, message: str) -> None:
    (fault,) = Lexer("e.conf", text).faults
    assert str(fault.place) == place
    assert message in fault.message


def test_after_a_quotation_that_is_not_closed_the_next_line_is_read() -> None:
    assert [token.text for token in Lexer("e.conf", 'a = "b\nc = d').tokens] == [
        "a",
        "=",
        "b",
        "c",
        "=",
        "d",
        "",
    ]


@given(st.text(alphabet="ab \n\t\"'#=/*{}()[],\\", max_size=80))
def test_any_text_is_read_to_its_end(text: str) -> None:
    read = Lexer("e.conf", text)
    assert read.tokens[-1].kind == "end"
    assert read.tokens[-1].place.line == text.count("\n") + 1
    for token in read.tokens[:-1]:
        here = read.lines[token.place.line - 1][token.place.column - 1 :]
        assert here[0] in "\"'" if token.kind == "string" else here.startswith(token.text)


def test_the_end_of_quotations_is_searched_for_once_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches: list[int] = []

    class Counting:
        def match(self, text: str, start: int) -> None:
            searches.append(start)

    monkeypatch.setattr(lexer, "_STRINGS", {"'": Counting(), '"': Counting()})
    # Each line has one of each kind, and the first of them takes the rest of its line.
    Lexer("e.conf", "\"\n'\n" * 1_000)
    assert searches == [0, 2]
