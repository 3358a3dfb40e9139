from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.slots import slot_values
from tubepost_dispatcher.notification import SCHEMA, Notification, PushPart, decode, encode

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
ASCII = st.binary(max_size=20).map(lambda raw: raw.hex().encode())
MAPPING = st.dictionaries(TEXT, TEXT, max_size=3)

pushes = st.builds(
    PushPart,
    ASCII,
    st.dictionaries(TEXT, TEXT).map(orjson.dumps),
    topic=st.none() | ASCII,
    push_type=st.none() | ASCII,
    priority=st.none() | st.sampled_from([1, 5, 10]),
    expiration=st.none() | st.integers(0, 2**63 - 1),
    collapse_id=st.none() | ASCII,
    return_path=st.none() | TEXT,
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    background=st.booleans(),
    is_mdm=st.booleans(),
)
broadcasts = st.builds(
    PushPart, st.just(b""), st.dictionaries(TEXT, TEXT).map(orjson.dumps), channel_id=ASCII.filter(bool)
)


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    push = draw(pushes | broadcasts)
    apns_id = draw(ASCII)
    if draw(st.booleans()):
        push.apns_id = apns_id
    return Notification(
        push,
        apns_id,
        draw(TEXT),
        draw(TEXT),
        draw(TEXT),
        draw(TEXT),
        context=draw(MAPPING),
        dsn=draw(MAPPING) or None,
        user=draw(TEXT),
        client_address=draw(TEXT),
        size=draw(st.integers(0, 2**40)),
        accepted_at=draw(st.floats(0, 2e9)),
        attempt=draw(st.integers(0, 1_000)),
        awaited_attempts=draw(st.integers(0, 1_000)),
        rerouted=draw(st.booleans()),
        headers=draw(TEXT),
        expires=draw(st.floats(0, 2e9)),
    )


def values(notification: Notification) -> dict[str, object]:
    own = {f"n.{name}": value for name, value in slot_values(notification).items() if name != "push"}
    return slot_values(notification.push) | own


@given(notifications())
def test_what_is_stored_is_read_back_whole(notification: Notification) -> None:
    assert values(decode(encode(notification))) == values(notification)


@given(notifications())
def test_fields_of_a_later_release_are_passed_over(notification: Notification) -> None:
    document = orjson.loads(encode(notification)) | {"later": {"x": 1}}
    assert values(decode(orjson.dumps(document))) == values(notification)


def stored(**changes: object) -> bytes:
    document = orjson.loads(encode(Notification(PushPart(b"ab", b"{}"), b"id", "m", "s", "r@d", "d")))
    document.update(changes)
    return orjson.dumps({key: value for key, value in document.items() if value != "absent"})


def test_the_stored_form_of_this_release_stays_readable() -> None:
    recorded = (
        b'{"v":1,"token":"ab","payload":"{}","apnsId":"00000000-0000-4000-8000-000000000001","messageId":"m1",'
        b'"sender":"a@b.example","recipient":"s@push.example","domain":"push.example","size":7,'
        b'"acceptedAt":1800000000.5,"attempt":3,"topic":"com.example","returnPath":"","dsn":{"RET":"HDRS"}}'
    )
    found = decode(recorded)
    assert (found.push.token, found.push.topic, found.push.return_path) == (b"ab", b"com.example", "")
    assert (found.attempt, found.accepted_at, found.dsn) == (3, 1_800_000_000.5, {"RET": "HDRS"})
    assert encode(found) == recorded


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not a stored notification"),
        (b"[]", "no version"),
        (b'{"v":"1"}', "no version"),
        (b'{"v":1}', "incomplete or damaged"),
        (stored(v=SCHEMA + 1), "written by a later release"),
        (stored(token=7), "incomplete or damaged"),
        (stored(messageId="absent"), "incomplete or damaged"),
        (stored(topic="é"), "incomplete or damaged"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(raw)


def test_where_bounces_go() -> None:
    push = PushPart(b"ab", b"{}")
    assert Notification(push, b"i", "m", "s@x", "r@d", "d").return_path == "s@x"
    push.return_path = ""
    assert Notification(push, b"i", "m", "s@x", "r@d", "d").return_path == ""
    assert Notification(push, b"i", "m", "s@x", '"a@b"@d', "d").local_part == '"a@b"'


def test_a_broadcast_has_no_token_so_that_an_older_release_holds_it_back() -> None:
    push = PushPart(b"", b"{}", channel_id=b"dHN0LXNyY2gtY2hubA==")
    stored = orjson.loads(encode(Notification(push, b"id", "m1", "a@b.example", "c@d.example", "d.example")))
    assert stored["channelId"] == "dHN0LXNyY2gtY2hubA=="
    assert "token" not in stored  # what reads it without knowing channels finds it incomplete
