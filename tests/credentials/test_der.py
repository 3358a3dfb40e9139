from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_credentials.der import read_topics, write_topics

topics = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=300),
    st.lists(st.text(max_size=10), max_size=4),
    max_size=8,
)


@given(topics)
def test_topics_survive_their_encoding(values: dict[str, list[str]]) -> None:
    assert read_topics(write_topics(values)) == list(values)


@given(st.binary(max_size=200))
def test_any_extension_is_read_or_refused(data: bytes) -> None:
    try:
        found = read_topics(data)
    except ValueError:
        return
    assert all(isinstance(topic, str) for topic in found)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x05\x0c\x01a",
        b"\x0c\x01a",
        b"\x30\x00\x30\x00",
        b"\x30\x80",
        b"\x30\x85\x00\x00\x00\x00\x00",
    ],
    ids=["empty", "no length", "truncated", "no sequence", "two", "indefinite", "five length bytes"],
)
def test_what_is_not_one_sequence_in_der(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"SEQUENCE|truncated|length"):
        read_topics(data)
