from __future__ import annotations

import textwrap
from typing import Any

import pytest

from tests.policy.facts import DEAD, facts, request_facts
from tubepost_dispatcher.policy.runner import Fault, Module, decode, encode

HEAD = "from tubepost_policy import CONTINUE, DONE, PERMFAILED, SUCCESS, TEMPFAILED\n"


def module(body: str) -> Module:
    return Module(HEAD + textwrap.dedent(body))


def ask(body: str, point: str = "dispose", **values: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"point": point, "message": facts()}
    if point == "request":
        call["request"] = request_facts()
    else:
        call["outcome"] = DEAD
    if point == "response":
        call["response"] = DEAD
    return decode(encode(module(body).call(call | values)))


def test_a_request_is_changed() -> None:
    body = """
    def apn_request_eval(req, msg):
        req.json["aps"]["badge"] = 1
        req.priority = 5
        msg.context["seen"] = "yes"
    """
    assert ask(body, "request") == {
        "request": {"priority": 5, "payload": '{"aps":{"alert":"Hi","badge":1}}'},
        "context": {"seen": "yes"},
    }


def test_an_answer_is_changed_and_then_classified() -> None:
    body = """
    def apn_response_eval(resp):
        resp.status, resp.reason = 503, "ServiceUnavailable"

    def apn_status_classifier(status):
        return PERMFAILED if status == 503 and status.reason == "ServiceUnavailable" else None
    """
    assert ask(body, "response") == {
        "response": {"status": 503, "reason": "ServiceUnavailable"},
        "classified": "permfailed",
    }


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("return DONE", {"done": True}),
        ("return CONTINUE", {}),
        ("pass", {}),
        ("msg.drop('dead')", {"action": {"type": "drop", "reason": "dead"}}),
        ("msg.send_to('b.example')", {"action": {"type": "domain", "domain": "b.example"}}),
    ],
)
def test_the_end_is_seen_to(body: str, answer: dict[str, Any]) -> None:
    assert ask(f"def generic_delivery_msg_dispose(msg):\n    {body}\n") == answer


def test_a_point_without_a_hook_changes_nothing() -> None:
    assert ask("def generic_delivery_msg_dispose(msg): pass", "request") == {}


@pytest.mark.parametrize(
    ("body", "kind", "line", "text"),
    [
        ("\n    raise ValueError('no')", "exception", 3, "ValueError: no"),
        ("\n    helper()", "exception", 5, "ZeroDivisionError"),
        ("return 42", "result", 2, "it returned 42; it returns CONTINUE, DONE or None"),
        ("import sys; sys.exit(1)", "exit", 2, "sys.exit(1) was called"),
        ("raise MemoryError", "memory", 2, "memory limit"),
        ("raise KeyboardInterrupt", "exception", 2, "KeyboardInterrupt"),
        ("return generic_delivery_msg_dispose(msg)", "exception", 2, "RecursionError"),
        ("msg.outcome.titel", "exception", 2, "AttributeError"),
        ("msg.send_mail('x', 's', 'b')", "exception", 2, "needs one mail address"),
        ("msg.context['DLV_Transaction_ID'] = '1'", "exception", 2, "PermissionError"),
    ],
)
def test_a_fault_has_its_line(body: str, kind: str, line: int, text: str) -> None:
    source = f"def generic_delivery_msg_dispose(msg): {body}\ndef helper():\n    1 / 0\n"
    with pytest.raises(Fault) as found:
        ask(source)
    fault = found.value
    assert (fault.kind, fault.line, fault.hook) == (kind, line, "generic_delivery_msg_dispose")
    assert text in fault.text
    assert fault.facts()["line"] == line


@pytest.mark.parametrize(
    "body",
    [
        "class Bad:\n    def __repr__(self): raise ValueError\ndef apn_status_classifier(status): return Bad()",
        "def apn_status_classifier(status): return 'often'",
    ],
)
def test_rubbish_is_a_fault_however_it_looks(body: str) -> None:
    with pytest.raises(Fault) as found:
        ask(body, "response")
    assert found.value.kind == "result"


def test_json_that_is_none_is_a_fault() -> None:
    with pytest.raises(Fault, match="cannot be written as JSON"):
        ask("def apn_request_eval(req, msg): req.json['x'] = {1, 2}", "request")
