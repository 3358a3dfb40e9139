from __future__ import annotations

import re
from pathlib import Path

import pytest

from tubepost_dispatcher.http.problems import (
    RETRY_AFTER,
    TYPES,
    Fault,
    batch_status,
    fault_problem,
    is_retryable,
    problem_of,
    result_of,
)
from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.catalogue import REASONS, refusal
from tubepost_dispatcher.reply import Reply, Taken

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/outcomes.md"


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason])
def test_every_reason_is_a_problem_whose_type_leads_to_its_row(reason: str) -> None:
    document = problem_of(refusal(reason, "what"), message_id="m1", apns_id="a1", pointer="/x")
    spec = REASONS[reason]
    assert document["type"] == TYPES + reason
    assert f'<a id="{reason}"></a>' in PAGE.read_text()
    assert (document["reason"], document["title"], document["detail"]) == (reason, spec.help, "what")
    assert (document["id"], document["apnsId"], document["pointer"]) == ("m1", "a1", "/x")
    transient = spec.kind is OutcomeKind.TRANSIENT
    assert is_retryable(document["status"]) == transient
    assert document.get("retryAfter") == (RETRY_AFTER if transient else None)
    assert 400 <= document["status"] < 600


def test_anchors_are_there_once() -> None:
    found = re.findall(r'<a id="(\w+)">', PAGE.read_text())
    assert len(found) == len(set(found))


def test_a_word_of_apns_that_nobody_knows() -> None:
    document = problem_of(Reply(550, "5.6.0", "APNs: BrandNew", "BrandNew"))
    assert (document["status"], document["reason"]) == (422, "BrandNew")
    assert problem_of(Reply(451, "4.3.0", "APNs: BrandNew", "BrandNew"))["status"] == 503


def test_what_became_of_a_notification() -> None:
    delivered = Reply(250, "2.0.0", "x", "", "delivered")
    assert result_of(delivered, "m1", "a1") == {
        "status": 200,
        "outcome": "delivered",
        "id": "m1",
        "apnsId": "a1",
    }
    assert result_of(Reply(250, "2.0.0", "x", "", "queued"), "m1", "a1")["status"] == 202
    assert result_of(refusal("QueueFull"), "m1", "a1")["status"] == 503


@pytest.mark.parametrize("taken", ["reported", "mailed"])
def test_what_a_mail_followed_is_not_called_delivered(taken: Taken) -> None:
    assert result_of(Reply(250, "2.0.0", "Not delivered (Unregistered), and why", "", taken), "m1", "a1") == {
        "status": 200,
        "outcome": taken,
        "detail": "Not delivered (Unregistered), and why",
        "id": "m1",
        "apnsId": "a1",
    }


@pytest.mark.parametrize(
    ("statuses", "status"),
    [({200}, 200), ({202}, 202), ({200, 202}, 202), ({422}, 422), ({200, 422}, 207), ({422, 503}, 207)],
)
def test_the_status_of_a_batch(statuses: set[int], status: int) -> None:
    assert batch_status(statuses) == status


def test_a_fault_within_something() -> None:
    found = Fault("BadRequest", "what", "/x").below("/notifications/3")
    assert fault_problem(found)["pointer"] == "/notifications/3/x"
