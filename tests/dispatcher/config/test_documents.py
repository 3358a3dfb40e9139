from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.config import documents
from tubepost_dispatcher.config.documents import DocumentError, read_json, read_yaml


def values(text: str) -> list[Any]:
    return [value for _, value in read_yaml(text.encode())]


def test_documents_and_the_lines_they_begin_on() -> None:
    assert read_yaml(b"# a comment\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n") == [
        (2, {"a": 1}),
        (7, {"b": 2}),
    ]
    assert read_yaml(b"") == []
    assert read_yaml("\ufeffa: 1".encode()) == [(1, {"a": 1})]


def test_dates_stay_the_text_that_they_are() -> None:
    assert values("a: 2026-11-23\nb: !!timestamp 2026-11-23T12:00:00Z\n") == [
        {"a": "2026-11-23", "b": "2026-11-23T12:00:00Z"}
    ]
    # PyYAML itself is not changed by that.
    assert not isinstance(yaml.safe_load("2026-11-23"), str)


def test_anchors_and_merges_work() -> None:
    assert values("a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}\nd: {<<: *x, k: 3}\n") == [
        {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}, "d": {"k": 3}}
    ]


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate key 'a'", 3, 1),
        ("x:\n  - {a: 1, 'a': 2}\n", "duplicate key 'a'", 2, 12),
        ("on: 1\n", "a key is not a string", 1, 1),
        ("1: 1\n", "a key is not a string", 1, 1),
        ("[a]: 1\n", "a key is not a string", 1, 1),
        ("a: {b: 1\nc: 2\n", "is not YAML", 2, 2),
        ("a:\n\tb: 1\n", "is not YAML", 2, 1),
        ("a: 1\n  b: 2\n", "is not YAML", 2, 4),
        ("a: *nowhere\n", "an alias refers to an undefined or unfinished anchor", 1, 4),
        ("a: &a [*a]\n", "an alias refers to an undefined or unfinished anchor", 1, 8),
        ("a: !!python/object:os.system x\n", "is not YAML", 1, 4),
        ("a: !mine x\n", "is not YAML", 1, 4),
    ],
)
def test_faults_and_where_they_are(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(DocumentError) as caught:
        read_yaml(text.encode())
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_aliases_cannot_stand_for_gigabytes() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(DocumentError, match="values"):
        read_yaml("\n".join(lines).encode())


def test_nor_can_merges() -> None:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    with pytest.raises(DocumentError, match="values"):
        read_yaml("\n".join(lines).encode())


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_nesting_is_bounded(text: str) -> None:
    with pytest.raises(DocumentError, match="nested"):
        read_yaml(text.encode())


def test_many_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_NODES", 10)
    assert read_yaml(b"[1, 2, 3]")
    with pytest.raises(DocumentError, match="more than 10 values"):
        read_yaml(b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")


@pytest.mark.parametrize("data", [b"a: \xff\n", b"a: \x01\n", b"\xff\xfe\x00"])
def test_what_is_no_text(data: bytes) -> None:
    with pytest.raises(DocumentError):
        read_yaml(data)


@pytest.mark.parametrize("text", ["a: !!int x\n", "a: !!float x\n", "a: !!bool x\n"])
def test_values_that_belie_their_tag(text: str) -> None:
    with pytest.raises(DocumentError):
        read_yaml(text.encode())


@given(st.binary(max_size=80))
def test_no_bytes_have_any_other_effect_than_a_document_error(data: bytes) -> None:
    for read in (read_yaml, read_json):
        try:
            read(data)
        except DocumentError as error:
            failed = error
            assert failed.remedy


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "Zs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abcd", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(alphabet="abcd", min_size=1), JSON, min_size=1))
def test_json_reads_the_same_as_json_and_as_yaml(value: dict[str, Any]) -> None:
    data = json.dumps(value).encode()
    assert read_json(data) == [(1, value)]
    assert read_yaml(yaml.safe_dump(value).encode()) == [(1, value)]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ('{"a": 1, "a": 2}', "duplicate key 'a'", 0),
        ('{"a": 1,\n}', "is not JSON", 2),
        ('{"a": NaN}', "NaN is not JSON", 0),
        ("", "is not JSON", 1),
        ("[" * 100_000, "nested too deep", 0),
        ('"\udc80"', "UTF-8", 0),
    ],
)
def test_faults_of_json(text: str, message: str, line: int) -> None:
    with pytest.raises(DocumentError) as caught:
        read_json(text.encode("utf-8", "surrogateescape"))
    assert message in str(caught.value)
    if line:
        assert caught.value.line == line


def test_base_60_is_text_as_for_kubernetes() -> None:
    # YAML 1.1 would make 90 and 90.5 of these, and PyYAML takes minutes for a long one.
    assert values("a: 1:30\nb: 1:30.5\nc: -1:30\n") == [{"a": "1:30", "b": "1:30.5", "c": "-1:30"}]
    long = "1" + ":1" * 1_000_000
    assert values(f"a: {long}") == [{"a": long}]
    assert values("a: 0x1F\nb: 0b11\nc: 017\nd: 1_000\n") == [{"a": 31, "b": 3, "c": 15, "d": 1000}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" * 101, "a number has 101 characters"),
        ("-" + "1" * 5_000_000, "a number has 5000001 characters"),
        ("0x" + "f" * 5_000_000, "a number has 5000002 characters"),
        ("0b" + "1" * 5_000_000, "a number has 5000002 characters"),
        ("0" + "7" * 5_000_000, "a number has 5000001 characters"),
        ("1" + "_" * 5_000_000, "a number has 5000001 characters"),
        ("1." + "1" * 5_000_000, "a number has 5000002 characters"),
        (".inf", "is not a number that JSON has"),
        ("-.INF", "is not a number that JSON has"),
        (".nan", "is not a number that JSON has"),
        ("1.0e+999", "is not a number that JSON has"),
        ("!!binary YQ==", "!!binary is not allowed"),
        ("!!omap [a: b]", "!!omap is not allowed"),
        ("!!pairs [a: b]", "!!pairs is not allowed"),
        ("!!set {a}", "!!set is not allowed"),
    ],
)
def test_values_that_json_does_not_have(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_yaml(f"x: 1\na: {text}\n".encode())
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (2, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ' + "1" * 101 + "}", "a number has 101 characters"),
        ('{"a": [-' + "1" * 5_000_000 + "]}", "a number has 5000001 characters"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        (r'{"a": "\ud83d"}', "half of a character"),
        (r'{"a": ["x", {"b": "\ude00\ud83d"}]}', "half of a character"),
        (r'{"\udc80": 1}', "half of a character"),
        ("[" * 66 + "]" * 66, "nested deeper than 64 levels"),
        ("[" * 500_000, "nested"),
        ("[1" + ",1" * 200_000 + "]", "more than 200000 values"),
    ],
)
def test_json_that_would_be_a_traceback_later(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_json(text.encode())


def test_json_whole_characters_and_depth_within_the_bound_are_read() -> None:
    assert read_json(rb'{"a": "\ud83d\ude00"}') == [(1, {"a": "\U0001f600"})]
    assert read_json(b"[" * 64 + b"]" * 64)
    with pytest.raises(DocumentError, match="UTF-8"):
        read_json(b'{"a": "\xed\xa0\x80"}')


def test_a_fault_quotes_a_bounded_part_of_the_file() -> None:
    key = "k" * 100_000
    for data in (f'{{"{key}": 1, "{key}": 2}}', f"{key[:1000]}: 1\n{key[:1000]}: 2\n", f"a: !{key} x\n"):
        for read in (read_json, read_yaml):
            with pytest.raises(DocumentError) as caught:
                read(data.encode())
            assert len(str(caught.value)) <= documents.MAX_SHOWN + 3
