from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.test_notification import notifications
from tests.support.slots import slot_values
from tubepost_dispatcher import notification
from tubepost_dispatcher.follow_up import KINDS, SCHEMA, OutgoingMail, decode, encode, is_mail

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)

mails = st.builds(
    OutgoingMail,
    st.sampled_from(KINDS),
    TEXT,
    TEXT,
    st.binary(max_size=200) | TEXT.map(str.encode),
    TEXT,
    TEXT,
    st.floats(0, 2e9),
    st.integers(0, 1_000),
    TEXT,
)


def values(mail: OutgoingMail) -> dict[str, object]:
    return slot_values(mail)


@given(mails)
def test_a_mail_survives_the_store(mail: OutgoingMail) -> None:
    stored = encode(mail)
    assert values(decode(stored)) == values(mail)
    assert is_mail(stored)


@given(notifications())
def test_notifications_and_mails_are_told_apart(one: notification.Notification) -> None:
    stored = notification.encode(one)
    assert not is_mail(stored)
    with pytest.raises(ValueError, match="mail"):
        decode(stored)


@given(mails)
def test_a_release_that_knows_no_mails_does_not_take_one_for_a_notification(mail: OutgoingMail) -> None:
    with pytest.raises(ValueError, match="notification"):
        notification.decode(encode(mail))


MAIL = OutgoingMail("bounce", "", "app@sender.example", b"Subject: x\r\n\r\n", "1a2b", "apn.example", 1.0)


def test_fields_of_a_later_release_are_passed_over() -> None:
    document = orjson.loads(encode(MAIL)) | {"colour": "blue"}
    assert values(decode(orjson.dumps(document))) == values(MAIL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"v": SCHEMA + 1}, "later release"),
        ({"v": None}, "no version"),
        ({"mail": "postcard"}, "does not know: 'postcard'"),
        ({"content": None}, "damaged"),
        ({"base64": "%"}, "base64"),
    ],
)
def test_what_cannot_be_read_is_said(change: dict[str, object], said: str) -> None:
    document = orjson.loads(encode(MAIL)) | change
    with pytest.raises(ValueError, match=said):
        decode(orjson.dumps(document))


@pytest.mark.parametrize("stored", [b"", b"[]", b"{", b'{"mail":"bounce"}', b'{"mail":"bounce","v":1}'])
def test_what_is_no_mail_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="mail"):
        decode(stored)
