from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_api.patterns import check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "push",
        r"[a-z0-9-]+\.example\.com",
        r"^(a|b)\.example\.com$",
        "(?i)a.example",
        "(?i:a).example",
        "(?P<app>[a-z]+).example",
        "(?:a|b){2,3}?.example",
        r"\d\w\s\b\.",
        "[]a]b",
        "[^]a]b",
        r"[\]a-]b",
        "a*?b+?c??",
        "[a-z]{1,63}[.][a-z]{1,63}",
        "(a{10}){25}",
    ],
)
def test_patterns_that_re2_takes(pattern: str) -> None:
    check_pattern(pattern)
    re2.compile(pattern)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("(?=a)", "lookahead"),
        ("(?!a)", "negative lookahead"),
        ("(?<=a)", "lookbehind"),
        ("(?<!a)", "negative lookbehind"),
        (r"(a)\1", "backreference"),
        ("(?P<a>b)(?P=a)", "backreference"),
        ("(?>a)", "atomic"),
        ("(a)(?(1)b|c)", "conditional"),
        ("(?#no)a", "comment"),
        ("(?x)a", "group that RE2 has not"),
        ("a*+", "two quantifiers"),
        ("a{2}{3}", "two quantifiers"),
        (r"a\Z", r"\Z"),
        (r"\u0041", r"\u"),
        ("a{,3}", "without a count"),
        ("a{", "without a count"),
        ("a{300}", "253"),
        ("((a{20}){20}){20}", "253"),
        ("[a", "never closed"),
        ("[[a]]", "inside a character class"),
        ("[a&&b]", "inside a character class"),
        (r"[\b]", "anchor"),
        ("(a", "not a regular expression"),
        ("a)", "not a regular expression"),
        ("*a", "not a regular expression"),
        ("/a.*/", "slashes"),
        (r"a\é", "not ASCII"),
        ("a\\", "not a regular expression"),
    ],
)
def test_what_else_is_refused_and_named(pattern: str, what: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_pattern(pattern)
    assert what in str(caught.value)


PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "-",
        "[a-z]",
        "[^.]",
        "[",
        "]",
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?P<n>",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{1,30}",
        "{,2}",
        "\\.",
        "\\d",
        "\\1",
        "\\b",
        "\\",
        "^",
        "$",
        "(?=",
        "&&",
        "{",
        "}",
        "é",
    ]
)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_whatever_is_taken_re2_takes_too(pattern: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError:
        return
    re2.compile(pattern)


def test_the_longest_patterns_fit_into_re2() -> None:
    for pattern in (".{253}" * 42, "(" * 100 + "a" + ")" * 100):
        check_pattern(pattern)
        re2.compile(pattern)
