"""Requests of the API: what answers mean. What is asked of a server is in test_store.py."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tubepost_dispatcher.store.jetstream.api import Api, Removed, Written, at, error_code, error_text, when
from tubepost_dispatcher.store.jetstream.link import Answer, Link, Message


class FakeLink:
    """Answers at once, with what a test says."""

    def __init__(self, *answers: Any, sent: int = 1) -> None:
        self.answers = list(answers)
        self.sent = sent
        self.asked: list[tuple[str, bytes, Any]] = []

    def request(self, subject: str, payload: bytes, done: Any, **values: Any) -> None:
        self.asked.append((subject, payload, values.get("headers")))
        answer = self.answers.pop(0)
        messages = [] if answer is None else [Message({}, orjson.dumps(answer))]
        done(Answer(messages, self.sent))


def api(link: Any) -> Api:
    assert isinstance(Link, type)
    return Api(link, "Q")


def refused(code: int) -> dict[str, Any]:
    return {"error": {"code": 400, "err_code": code, "description": "no"}}


@pytest.mark.parametrize(
    ("answer", "sent", "told"),
    [
        ({"stream": "Q", "seq": 7}, 1, Written(7)),
        ({"stream": "Q", "seq": 7, "duplicate": True}, 2, Written(7)),
        (None, 1, Written(problem="NATS does not answer", ambiguous=True)),
        (None, 0, Written(problem="NATS does not answer")),
        (refused(10047), 1, Written(full=True, problem="NATS refuses it: no")),
        (refused(10060), 1, Written(problem="NATS refuses it: no")),
    ],
)
def test_what_became_of_a_message(answer: Any, sent: int, told: Written) -> None:
    found: list[Written] = []
    link = FakeLink(answer, sent=sent)
    api(link).publish("q.lease.o.1", b"x", "id", found.append, fires=(1.5, "q.ready.1"))
    assert found == [told]
    assert link.asked[0][2] == {
        "Nats-Msg-Id": "id",
        "Nats-Expected-Stream": "Q",
        "Nats-Schedule": "@at 1970-01-01T00:00:01.500000Z",
        "Nats-Schedule-Target": "q.ready.1",
    }


@pytest.mark.parametrize(
    ("answer", "sent", "told"),
    [
        ({"success": True}, 1, Removed.BY_US),
        ({"success": True}, 3, Removed.BY_US),
        (refused(10057), 1, Removed.NOT_THERE),
        (refused(10037), 1, Removed.NOT_THERE),
        (refused(10037), 2, Removed.UNSURE),  # the first may have removed it
        (refused(10039), 1, Removed.UNSURE),
        (None, 1, Removed.UNSURE),
    ],
)
def test_who_removed_a_message(answer: Any, sent: int, told: Removed) -> None:
    found: list[Removed] = []
    link = FakeLink(answer, sent=sent)
    api(link).delete(5, found.append)
    assert found == [told]
    assert link.asked[0][0] == "$JS.API.STREAM.MSG.DELETE.Q"


def test_times_go_there_and_back() -> None:
    assert when(at(1_800_000_000.25)) == 1_800_000_000.25
    assert when("2026-11-30T20:00:00.123456789Z") == pytest.approx(1_796_068_800.123456)
    assert when("") == when("soon") == 0.0
    assert at(-5.0) == "1970-01-01T00:00:00.000000Z"


def test_errors_have_codes_and_words() -> None:
    assert error_code({"seq": 1}) == 0
    assert error_code({"error": {"code": 500}}) == -1
    assert error_code(refused(10059)) == 10059
    assert error_text(None) == "it does not answer"
    assert error_text({"error": {"description": "x" * 500}}) == "x" * 200
