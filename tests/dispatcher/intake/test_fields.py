from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mcmt import PAYLOAD, TOKEN, message, part
from tests.support.slots import slot_values
from tubepost_dispatcher.intake.fields import FAR_TOO_LARGE, read_fields
from tubepost_dispatcher.intake.mcmt.message import McmtMessage
from tubepost_dispatcher.intake.mcmt.mime import PUSH_FIELDS
from tubepost_dispatcher.intake.mcmt.parser import parse_message
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import PushFields

TOKEN_FIELD = {b"x-device-token": TOKEN}


def read(
    headers: dict[bytes, bytes], payload: bytes = PAYLOAD, to: str = "s", **context: str
) -> McmtMessage | Reply:
    return read_fields(PushFields(headers, context), payload, recipient_local_part=to)


def values(push: PushPart) -> dict[str, object]:
    return slot_values(push)


@given(
    st.dictionaries(
        st.sampled_from(sorted(PUSH_FIELDS)),
        st.sampled_from(
            [
                b"10",
                b"7",
                b"0",
                b"alert",
                b"com.example.app",
                b"x@y.example",
                b"YWI=",
                TOKEN,
                b"<>",
                b"a b",
                b"=",
            ]
        ),
    ),
    st.sampled_from([PAYLOAD, b"{}", b"[]", b"", b'{"aps":{},}']),
)
def test_fields_are_read_as_those_of_a_part_in_a_mail(headers: dict[bytes, bytes], payload: bytes) -> None:
    inner = [name + b": " + value for name, value in headers.items()]
    mail = message(part(payload, token=None, inner=[*inner, b"X-Any: x"]))
    expected = parse_message(mail, recipient_local_part="s")
    found = read(headers, payload)
    if isinstance(expected, Reply):
        assert isinstance(found, Reply)
        assert (found.reason, found.code) == (expected.reason, expected.code)
        assert expected.text.removeprefix("part 1: ") == found.text
    else:
        assert isinstance(expected, McmtMessage)
        assert isinstance(found, McmtMessage)
        assert values(found.parts[0]) == values(expected.parts[0])


def test_the_token_may_be_a_context_variable_or_the_recipient() -> None:
    found = read({}, DLV_Dest_ID=TOKEN.decode())
    assert isinstance(found, McmtMessage)
    assert (found.parts[0].token, found.context) == (TOKEN, {"DLV_Dest_ID": TOKEN.decode()})
    found = read({}, to=TOKEN.decode())
    assert isinstance(found, McmtMessage)
    assert found.parts[0].token == TOKEN
    refused = read({})
    assert isinstance(refused, Reply)
    assert refused.reason == "MissingDeviceToken"


@pytest.mark.parametrize(
    ("payload", "context", "reason"),
    [
        (b" " * FAR_TOO_LARGE + b"x", {}, "PayloadTooLarge"),
        (PAYLOAD, {"a b": "x"}, "BadMessage"),
        (PAYLOAD, {"a": "x\ny"}, "BadMessage"),
        (PAYLOAD, {"a": "x" * 1_001}, "BadMessage"),
        (PAYLOAD, {f"v{number}": "" for number in range(65)}, "LimitExceeded"),
    ],
)
def test_bounds(payload: bytes, context: dict[str, str], reason: str) -> None:
    refused = read(TOKEN_FIELD, payload, **context)
    assert isinstance(refused, Reply)
    assert refused.reason == reason
