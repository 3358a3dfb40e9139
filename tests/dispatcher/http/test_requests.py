from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.http.support import notification
from tubepost_dispatcher.http.problems import Fault
from tubepost_dispatcher.http.requests import HEADERS, MEMBERS, Batch, Item, read_body, read_item
from tubepost_dispatcher.intake.mcmt.mime import PUSH_FIELDS


def item(**changes: Any) -> Item:
    found = read_item(notification(**changes))
    assert isinstance(found, Item), found
    return found


def fault(**changes: Any) -> Fault:
    found = read_item(notification(**changes))
    assert isinstance(found, Fault), found
    return found


def test_every_field_of_a_push_part_has_its_member() -> None:
    assert set(HEADERS.values()) == PUSH_FIELDS


def test_a_plain_notification() -> None:
    found = item()
    assert (found.address, found.domain, found.sender) == ("device@push.example", "push.example", "")
    assert found.payload == b'{"aps":{"alert":"hi"}}'
    assert found.fields.headers == {b"x-device-token": b"ab" * 32}
    assert found.recipient_dsn is None
    assert found.sender_dsn is None


def test_an_envelope_with_everything() -> None:
    found = item(
        domain=None,
        recipient="User@Push.Example",
        sender="a@b.example",
        context={"campaign": "x"},
        dsn={"notify": "SUCCESS,FAILURE", "orcpt": "rfc822;u@x.example", "ret": "HDRS", "envid": "q+2B1"},
        apnsPriority=5,
        apnsExpiration="0",
        payload='{ "aps": {} }',
    )
    assert (found.address, found.domain, found.sender) == ("User@Push.Example", "push.example", "a@b.example")
    assert found.recipient_dsn == {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;u@x.example"}
    assert found.sender_dsn == {"RET": "HDRS", "ENVID": "q+2B1"}
    assert found.fields.context == {"campaign": "x"}
    assert found.fields.headers[b"apns-priority"] == b"5"
    assert found.fields.headers[b"apns-expiration"] == b"0"
    assert found.payload == b'{ "aps": {} }'  # a text is sent as it is


@pytest.mark.parametrize(
    ("changes", "reason", "pointer"),
    [
        ({"devicetoken": "x"}, "BadRequest", ""),
        ({"deviceToken": 7}, "BadRequest", "/deviceToken"),
        ({"apnsPriority": 1.5}, "BadRequest", "/apnsPriority"),
        ({"apnsPriority": True}, "BadRequest", "/apnsPriority"),
        ({"apnsTopic": "x" * 5_000}, "BadRequest", "/apnsTopic"),
        ({"payload": None}, "PayloadEmpty", "/payload"),
        ({"payload": [1]}, "BadPayload", "/payload"),
        ({"recipient": "a@b.example"}, "BadRequest", "/domain"),
        ({"domain": None}, "BadRequest", "/domain"),
        ({"domain": 7}, "BadRequest", "/domain"),
        ({"domain": None, "recipient": ["x"]}, "BadRequest", "/recipient"),
        ({"domain": "no domain"}, "BadRecipient", "/domain"),
        ({"domain": "-.example"}, "BadRecipient", "/domain"),
        ({"domain": None, "recipient": "a@b.example> NOTIFY=NEVER"}, "BadRecipient", "/recipient"),
        ({"domain": None, "recipient": "a@b.example\r\nDATA"}, "BadRecipient", "/recipient"),
        ({"sender": "not an address"}, "BadSender", "/sender"),
        ({"sender": "a@b.example>"}, "BadSender", "/sender"),
        ({"sender": 1}, "BadSender", "/sender"),
        ({"context": ["x"]}, "BadRequest", "/context"),
        ({"context": {"x": 1}}, "BadRequest", "/context"),
        ({"dsn": {"other": "x"}}, "BadRequest", "/dsn"),
        ({"dsn": {"notify": "SOMETIMES"}}, "BadParameter", "/dsn"),
        ({"dsn": {"ret": "ALL"}}, "BadParameter", "/dsn"),
        ({"dsn": {"envid": "a b"}}, "BadParameter", "/dsn/envid"),
        ({"dsn": {"notify": 1}}, "BadParameter", "/dsn/notify"),
    ],
)
def test_faults(changes: dict[str, Any], reason: str, pointer: str) -> None:
    found = fault(**changes)
    assert (found.reason, found.pointer) == (reason, pointer), found


def test_a_misspelled_member_is_guessed_at() -> None:
    assert "did you mean deviceToken?" in fault(devicetoken="x").text


@given(
    st.dictionaries(
        st.sampled_from(MEMBERS) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_whatever_comes_is_an_item_or_a_fault(value: dict[str, Any]) -> None:
    found = read_item(value)
    if isinstance(found, Item):
        assert found.domain == found.domain.lower()
        assert found.address.isprintable()
        assert "@" in found.address
    else:
        assert isinstance(found, Fault)


def test_a_body_is_one_or_a_batch() -> None:
    assert read_body(b'{"payload":{}}', 10) == Batch(({"payload": {}},), single=True)
    assert read_body(b'{"notifications":[1,2]}', 2) == Batch([1, 2], single=False)


@pytest.mark.parametrize(
    ("body", "reason", "said"),
    [
        (b"", "BadRequest", "not JSON"),
        (b"{", "BadRequest", "line 1 column"),
        (b"\xff", "BadRequest", "not JSON"),
        (b"[]", "BadRequest", "not a JSON object"),
        (b'{"notifications":[],"x":1}', "BadRequest", "beside notifications"),
        (b'{"notifications":[]}', "BadRequest", "at least one"),
        (b'{"notifications":{}}', "BadRequest", "not a list"),
        (b'{"notifications":[1,2,3]}', "BatchTooLarge", "3 notifications, the limit is 2"),
    ],
)
def test_bodies_that_are_none(body: bytes, reason: str, said: str) -> None:
    found = read_body(body, 2)
    assert isinstance(found, Fault)
    assert found.reason == reason
    assert said in found.text


@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: orjson.dumps({"payload": text})))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    assert isinstance(read_body(body, 5), Batch | Fault)
