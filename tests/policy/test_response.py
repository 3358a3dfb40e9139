from __future__ import annotations

from typing import Any

import pytest

from tests.policy.facts import DEAD, message
from tubepost_policy import Response, Status
from tubepost_policy.response import changed


def response() -> Response:
    return Response({**DEAD, "id": "x"}, message())


def test_an_answer_is_read_and_set() -> None:
    resp = response()
    assert (resp.status, resp.reason, resp.legacy_status, resp.command, resp.id) == (
        410,
        "Unregistered",
        8,
        8,
        "x",
    )
    assert resp.timestamp == 5
    assert resp.message.id == "m1"
    assert changed(resp) == {}
    resp.status = 200
    assert changed(resp) == {"status": 200, "reason": ""}
    resp.status, resp.reason = 503, "ServiceUnavailable"
    assert changed(resp) == {"status": 503, "reason": "ServiceUnavailable"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", 99), ("status", "410"), ("reason", "two words"), ("reason", ""), ("reason", 5)],
)
def test_what_is_no_answer_cannot_be_set(name: str, value: Any) -> None:
    with pytest.raises(ValueError):
        setattr(response(), name, value)


def test_a_status_is_a_number_with_a_reason() -> None:
    status = Status(410, "Unregistered", 8)
    assert status == 410
    assert (status.reason, status.legacy) == ("Unregistered", 8)
