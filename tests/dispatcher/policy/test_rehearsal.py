from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import notification
from tests.dispatcher.policy.support import settings
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.policy.check import Session
from tubepost_dispatcher.policy.rehearsal import Step, apns_answer, rehearse, rehearsed


def steps(body: str, answer: str = "410:Unregistered") -> list[Step]:
    head = "from tubepost_policy import DONE, SUCCESS, TEMPFAILED\n"
    delivery = rehearsed(notification(), "com.example.app")
    assert isinstance(delivery, Delivery)
    with Session(settings(head + body)) as session:
        return list(rehearse(session, delivery, apns_answer(answer)))


def test_every_hook_is_called_in_its_turn_with_what_the_one_before_left() -> None:
    found = steps("""
def apn_request_eval(req, msg):
    msg.context["seen"] = "yes"

def apn_status_classifier(status):
    return SUCCESS

def generic_delivery_msg_dispose(msg):
    assert (msg.context["seen"], msg.outcome.kind, msg.attempt) == ("yes", "delivered", 1)
""")
    assert [step.point for step in found] == ["request", "response", "dispose"]
    assert [step.fault for step in found] == ["", "", ""]


@pytest.mark.parametrize(
    ("body", "points"),
    [
        ("def apn_request_eval(req, msg): msg.drop('x')", ["request"]),
        ("def apn_request_eval(req, msg): 1 / 0", ["request"]),
        ("def apn_request_eval(req, msg): req.push_type = 'toast'", ["request"]),
        ("def apn_response_eval(resp): resp.message.drop('x')", ["response"]),
        ("def apn_status_classifier(status): return TEMPFAILED", ["response"]),
        ("x = 1", ["dispose"]),
    ],
)
def test_what_ends_it_ends_the_rehearsal(body: str, points: list[str]) -> None:
    found = steps(body + "\ndef generic_delivery_msg_dispose(msg): return DONE\n")
    assert [step.point for step in found] == points
    assert bool(found[-1].fault) is ("1 / 0" in body or "toast" in body)
    if found[-1].fault:
        assert "line" in found[-1].fault or "InvalidPushType" in found[-1].fault


def test_what_cannot_be_sent_is_not_rehearsed() -> None:
    outcome = rehearsed(notification(push=PushPart(b"ab", b"{}", push_type=b"toast")), "com.example.app")
    assert isinstance(outcome, Outcome)
    assert outcome.reason == "InvalidPushType"


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("200", OutcomeKind.DELIVERED, ""),
        ("410:Unregistered", OutcomeKind.PERMANENT, "Unregistered"),
        ("503:ServiceUnavailable", OutcomeKind.TRANSIENT, "ServiceUnavailable"),
    ],
)
def test_an_answer_in_short(text: str, kind: OutcomeKind, reason: str) -> None:
    outcome = apns_answer(text)
    assert (outcome.kind, outcome.reason) == (kind, reason)


@pytest.mark.parametrize("text", ["", "410", "x", "99:X", "410:two words"])
def test_what_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError):
        apns_answer(text)
