from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, notification
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.policy.changes import (
    Refused,
    changed_context,
    changed_outcome,
    changed_part,
    dropped,
    rerouted_mail,
)
from tubepost_dispatcher.reasons.catalogue import outcome_reply, spec_of
from tubepost_policy.actions import send_mail

PART = PushPart(b"ab" * 32, b'{"aps":{"alert":"x"}}', topic=b"com.example.app", collapse_id=b"c")


def test_a_part_is_changed_and_the_one_before_is_kept() -> None:
    made, apns_id = changed_part(
        PART,
        {
            "token": "CD" * 32, "payload": ' {"aps":{"content-available":1}} ', "topic": "com.example.other",
            "push_type": "background", "priority": 5, "expiration": 0, "collapse_id": "",
            "id": "00000000-0000-4000-8000-00000000000A",
        },
    )  # fmt: skip
    assert (made.token, made.topic, made.push_type) == (b"cd" * 32, b"com.example.other", b"background")
    assert (made.payload, made.background) == (b'{"aps":{"content-available":1}}', True)
    assert (made.priority, made.expiration, made.collapse_id) == (5, 0, None)
    assert apns_id == b"00000000-0000-4000-8000-00000000000a"
    assert (PART.token, PART.collapse_id, PART.priority) == (b"ab" * 32, b"c", None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"token": "xyz"}, "request.token"),
        ({"token": 5}, "request.token is not text"),
        ({"token": "a" * 201}, "request.token"),
        ({"payload": "{"}, "request.payload"),
        ({"payload": "[]"}, "an array"),
        ({"payload": '{"x":"' + "x" * 6_000 + '"}'}, "request.payload"),
        ({"topic": "a b"}, "request.topic"),
        ({"push_type": "a b"}, "request.push_type"),
        ({"priority": 7}, "request.priority"),
        ({"priority": "10\r\nx: y"}, "request.priority"),
        ({"expiration": -1}, "request.expiration"),
        ({"expiration": True}, "request.expiration"),
        ({"expiration": 2**63}, "request.expiration"),
        ({"collapse_id": "x" * 65}, "request.collapse_id"),
        ({"id": "1"}, "request.id"),
        ({"channel": "x"}, "no field"),
    ],
)
def test_what_could_not_stand_in_a_push_part_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(Refused, match=text.replace(".", r"\.")):
        changed_part(PART, changes)


@pytest.mark.parametrize(
    ("outcome", "changes", "classified", "kind", "code"),
    [
        (DEAD, None, "tempfailed", OutcomeKind.TRANSIENT, 451),
        (DEAD, None, "success", OutcomeKind.DELIVERED, 250),
        (BUSY, None, "permfailed", OutcomeKind.PERMANENT, 554),
        (BUSY, {"status": 410, "reason": "Unregistered"}, None, OutcomeKind.PERMANENT, 550),
        (BUSY, {"status": 200, "reason": ""}, None, OutcomeKind.DELIVERED, 250),
        (BUSY, {"status": 410, "reason": "Unregistered"}, "tempfailed", OutcomeKind.TRANSIENT, 451),
    ],
)
def test_an_answer_is_taken_for_another_and_its_sender_is_told_so(
    outcome: Outcome, changes: Any, classified: Any, kind: OutcomeKind, code: int
) -> None:
    made = changed_outcome(outcome, changes, classified)
    assert made.kind is kind
    assert spec_of(made).kind in {kind, OutcomeKind.DELIVERED}
    reply = outcome_reply(made)
    assert reply.code == code
    assert reply.enhanced[0] == str(code)[0]
    assert made.status == (changes or {}).get("status", outcome.status)
    if kind is not OutcomeKind.DELIVERED:
        assert "the policy" in made.detail


def test_what_is_the_same_is_the_same_outcome() -> None:
    assert changed_outcome(DEAD, None, "permfailed") is DEAD
    assert changed_outcome(DELIVERED, None, "success") is DELIVERED


@pytest.mark.parametrize("classified", ["tempfailed", "permfailed"])
def test_what_is_delivered_cannot_be_called_failed(classified: str) -> None:
    with pytest.raises(Refused, match="sent a second time"):
        changed_outcome(DELIVERED, None, classified)


@pytest.mark.parametrize(
    ("changes", "classified"),
    [
        ({"status": 9, "reason": ""}, None),
        ({"status": 500}, None),
        (None, "x"),
        ({"status": True, "reason": "x"}, None),
    ],
)
def test_an_answer_that_is_none_is_refused(changes: Any, classified: Any) -> None:
    with pytest.raises(Refused):
        changed_outcome(DEAD, changes, classified)


@pytest.mark.parametrize(
    "context",
    [
        [], {"DLV_Msg_Length": "1"}, {"": "x"}, {"a": 1}, {"a": "x" * 1_025}, {"a\n": "x"},
        {f"v{number}": "x" for number in range(65)},
    ],
)  # fmt: skip
def test_variables_that_nobody_could_set_are_refused(context: Any) -> None:
    with pytest.raises(Refused):
        changed_context(context)


def test_a_mail_goes_to_its_recipient_and_its_bounces_to_the_return_path() -> None:
    action = send_mail("u@x.example", "S", "B", None, None, "a@b.example")
    mail = rerouted_mail(action, notification(1), 5.0)
    assert (mail.kind, mail.sender, mail.recipient) == ("reroute", "a@b.example", "u@x.example")
    assert (mail.message_id, mail.domain, mail.created_at) == ("m1", "apn_example.com", 5.0)
    assert mail.content.startswith(b"From: a@b.example\r\n")


@pytest.mark.parametrize(
    "action", [{"to": "u"}, {"to": "u@x\r\nRCPT TO:<y@z>"}, {"to": "u@x.example", "content": 5}]
)
def test_a_mail_that_is_none_is_refused(action: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        rerouted_mail(action, notification(1), 5.0)


def test_a_drop_is_for_good() -> None:
    outcome = dropped("no\r\nlonger")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.PERMANENT, "DroppedByPolicy")
    assert outcome.detail.isprintable()
    with pytest.raises(Refused):
        dropped(None)
