from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.http.idempotency import (
    KEPT,
    KEPT_BYTES,
    KEPT_FOR,
    Answer,
    Remembered,
    apns_id,
    mark_of,
)

KEY = ("app", b"k1")
YES = Answer(200, b"application/json", b"{}")


def test_a_repetition_gets_the_answer_of_the_first() -> None:
    kept = Remembered()
    assert kept.begin(KEY, b"m", 0.0) is None
    assert kept.begin(KEY, b"m", 1.0) == "RequestInProgress"
    kept.end(KEY, YES)
    assert kept.begin(KEY, b"m", 2.0) == YES
    assert kept.begin(KEY, b"other", 2.0) == "IdempotencyKeyReused"
    assert kept.begin(("another client", KEY[1]), b"other", 2.0) is None


def test_what_may_fare_better_is_not_remembered_and_nothing_is_for_ever() -> None:
    kept = Remembered()
    kept.begin(KEY, b"m", 0.0)
    kept.end(KEY, None)
    assert kept.begin(KEY, b"other", 1.0) is None
    kept.end(KEY, YES)
    assert kept.begin(KEY, b"other", 1.0 + KEPT_FOR) is None


def test_bounds() -> None:
    kept = Remembered()
    for number in range(KEPT + 1):
        key = ("app", b"%d" % number)
        kept.begin(key, b"m", 0.0)
        kept.end(key, YES)
    assert kept.begin(("app", b"0"), b"m", 1.0) is None
    assert kept.begin(("app", b"1"), b"m", 1.0) == YES
    large = Answer(200, b"", b"x" * (KEPT_BYTES + 1))
    kept.begin(KEY, b"m", 1.0)
    kept.end(KEY, large)
    assert kept.begin(KEY, b"m", 1.0) is None


@given(st.text(max_size=10), st.binary(max_size=20), st.integers(0, 1_000))
def test_apns_ids_come_from_the_key(client: str, key: bytes, index: int) -> None:
    try:
        client.encode()
    except UnicodeEncodeError:
        return
    made = apns_id((client, key), index)
    assert made == apns_id((client, key), index)
    assert made != apns_id((client, key), index + 1)
    assert re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made)


def test_bodies_are_told_apart() -> None:
    assert mark_of(b"a") == mark_of(bytearray(b"a")) != mark_of(b"b")
