from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_importer.parser import DEEPEST, Parser
from tubepost_importer.syntax import Array, Include, Option, Scalar, Scope, Statement, Value


def plain(value: Value) -> object:
    if isinstance(value, Scalar):
        return value.text
    if isinstance(value, Array):
        return [plain(item) for item in value.items]
    return {option.name: plain(option.value) for option in value.options}


def shape(statement: Statement) -> object:
    if isinstance(statement, Option):
        return (statement.name, plain(statement.value))
    if isinstance(statement, Scope):
        return (statement.name, *statement.arguments, [shape(inside) for inside in statement.body])
    return ("include", statement.path) if isinstance(statement, Include) else "..."


def read(text: str) -> list[object]:
    parser = Parser("e.conf", text)
    assert parser.faults == []
    return [shape(statement) for statement in parser.statements]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Max_Retries = 3", ("max_retries", "3")),
        ('routes = ( "a" "b", c )', ("routes", ["a", "b", "c"])),
        ('a = [ uri = "x" ports = ( 1 2 ) ]', ("a", {"uri": "x", "ports": ["1", "2"]})),
        ('map [ local = "%{localpart}" ]', ("map", {"local": "%{localpart}"})),
        ("apn {}", ("apn", [])),
        ("ESMTP_Listener = { a = 1 }", ("esmtp_listener", [("a", "1")])),
        ('ec_logger "x"\n{\n}', ("ec_logger", "x", [])),
        ('ESMTP_Listener { Listen ":25" { a = 1 } }', ("esmtp_listener", [("listen", ":25", [("a", "1")])])),
        ('include "/etc/x.conf"', ("include", "/etc/x.conf")),
        ("include { }", ("include", [])),
        ("...", "..."),
        ('domain example.com { include "b" }', ("domain", "example.com", [("include", "b")])),
        ("a = ( ( 1 ) [ b = 2 ] )", ("a", [["1"], {"b": "2"}])),
    ],
)
def test_statements(text: str, expected: object) -> None:
    assert read(text) == [expected]


def test_white_space_does_not_matter() -> None:
    assert read("a=1 b = 2 c{d=3}") == [("a", "1"), ("b", "2"), ("c", [("d", "3")])]


@pytest.mark.parametrize(
    ("text", "place", "message", "rest"),
    [
        (
            "what is this\na = 1",
            "e.conf:1:1",
            "'=' or '{' is expected after 'what is this', not the end of the line",
            [("a", "1")],
        ),
        ("a b = 1\nc = 2", "e.conf:1:5", "is expected after 'a b', not '='", [("c", "2")]),
        ("a = \n}\nb = 1", "e.conf:2:1", "a value is expected", [("b", "1")]),
        ("} a = 1", "e.conf:1:1", "no scope is open", [("a", "1")]),
        ("a {\n b = 1", "e.conf:1:3", "never closed", [("a", [("b", "1")])]),
        ("a = ( 1\nb = 2", "e.conf:1:5", "never closed", []),
        ("= 1\nb = 2", "e.conf:1:1", "cannot begin a statement", [("b", "2")]),
        ("a {\n ( x ) y\n b = 1\n}", "e.conf:2:2", "cannot begin a statement", [("a", [("b", "1")])]),
        ("a x ( 1\n2 ) { c }\nd = 3", "e.conf:1:5", "is expected after 'a x'", [("d", "3")]),
        ("a = [ b c ]\nd = 1", "e.conf:1:7", "NAME = VALUE is expected", [("d", "1")]),
        ("a = ", "e.conf:1:5", "the file ends", []),
    ],
)
def test_a_fault_has_its_place_and_what_follows_is_read(
    text: str, place: str, message: str, rest: list[object]
) -> None:
    parser = Parser("e.conf", text)
    assert str(parser.faults[0].place) == place
    assert message in parser.faults[0].message
    assert [shape(statement) for statement in parser.statements] == rest


def test_a_scope_keeps_what_stands_around_a_fault_in_it() -> None:
    parser = Parser("e.conf", "a {\n b = 1\n c d\n e = 2\n}\nf = 3")
    assert [shape(s) for s in parser.statements] == [("a", [("b", "1"), ("e", "2")]), ("f", "3")]
    assert len(parser.faults) == 1


@pytest.mark.parametrize("opening", ["a {", "a = (", "a = [ b = ("])
def test_depth_is_bounded(opening: str) -> None:
    parser = Parser("e.conf", opening * (DEEPEST * 100))
    assert any("inside each other" in fault.message for fault in parser.faults) or opening.endswith("(")
    assert parser.faults


words = st.from_regex(r"[a-z_][a-z0-9_.:-]{0,8}", fullmatch=True)
quoted = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)


def written(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


values = st.recursive(
    quoted,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(words, inside, max_size=3),
    max_leaves=6,
)


def source(value: object) -> str:
    if isinstance(value, str):
        return written(value)
    if isinstance(value, list):
        return f"( {' '.join(source(item) for item in value)} )"
    assert isinstance(value, dict)
    return f"[ {' '.join(f'{name} = {source(item)}' for name, item in value.items())} ]"


@given(words.filter(lambda word: word not in {"include", "readonly_include"}), values)
def test_whatever_is_written_is_read(name: str, value: object) -> None:
    assert read(f"{name} = {source(value)} # a comment") == [(name, value)]


@given(st.text(alphabet='ab=(){}[] \n"#,.', max_size=120))
def test_any_text_is_read_and_every_line_is_a_statements_or_a_faults(text: str) -> None:
    parser = Parser("e.conf", text)
    for fault in parser.faults:
        assert fault.place.line <= text.count("\n") + 1
        assert fault.pretty()
    if not parser.faults:
        covered: set[int] = set()
        waiting = list(parser.statements)
        while waiting:
            statement = waiting.pop()
            last = statement.open_line if isinstance(statement, Scope) else statement.last_line
            covered |= {*range(statement.place.line, last + 1), statement.last_line}
            waiting += statement.body if isinstance(statement, Scope) else ()
        assert parser.lines_with_tokens <= covered
