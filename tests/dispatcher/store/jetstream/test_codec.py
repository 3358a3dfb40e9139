"""Messages of the stream: read back as they were, whatever bytes come."""

from __future__ import annotations

import contextlib
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.store.support import NOW, an_entry
from tubepost_dispatcher.store.jetstream.codec import NewerMessage, Stored, decode, encode


def test_entries_are_read_back_as_they_were() -> None:
    entries = (
        an_entry(1),
        an_entry(2, reason="Shutdown", due=NOW + 9)._replace(route="blue", lane=2**62),
        an_entry(3)._replace(hold="alice: why", due=math.inf),
    )
    assert decode(encode(entries, [1])) == Stored(entries, frozenset({1}), 0)
    assert decode(encode(entries[:1])) == Stored(entries[:1], frozenset(), 0)


def test_a_later_release_is_told_from_rubbish() -> None:
    body = bytearray(encode([an_entry()]))
    body[0] = 2
    with pytest.raises(NewerMessage, match="version 2"):
        decode(bytes(body))


def test_a_damaged_record_is_counted_and_the_others_are_read() -> None:
    entries = [an_entry(1), an_entry(2, reason="Shutdown"), an_entry(3, reason="Other")]
    body = bytearray(encode(entries, [2]))
    body[body.index(b"m2")] ^= 1
    assert decode(bytes(body)) == Stored((entries[0], entries[2]), frozenset({1}), 1)


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_has_nothing_in_it(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert decode(b"\x01" + data) == Stored((), frozenset(), 0)


@given(st.integers(0, 255), st.integers(0, 10_000))
def test_a_message_that_was_changed_is_read_or_refused(value: int, place: int) -> None:
    body = bytearray(encode([an_entry(1, reason="Shutdown"), an_entry(2)], [1]))
    body[place % len(body)] = value
    try:
        found = decode(bytes(body))
    except ValueError:
        return
    assert len(found.entries) + found.damaged >= 0


def test_notes_that_name_records_that_are_not_there_do_no_harm() -> None:
    notes = orjson.dumps([0, {"7": ["a", "b", "c"]}, [9]])
    body = b"\x01" + len(notes).to_bytes(4, "little") + notes
    assert decode(body) == Stored((), frozenset(), 0)
