from __future__ import annotations

import pytest

from tests.dispatcher.bounces.support import HEADERS, pushed
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tubepost_dispatcher.bounces.decision import is_automatic_reply, kind_of, wanted
from tubepost_dispatcher.bounces.report import ReportKind
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome, permanent_outcome


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (DELIVERED, "success"),
        (DEAD, "bounce"),
        (BUSY, "bounce"),
        (permanent_outcome("Expired", ""), "bounce"),
        (permanent_outcome("Dropped", ""), "bounce"),
        (local_outcome("ClientGone"), None),
        (local_outcome("InternalError"), None),
        (permanent_outcome("DroppedByPolicy", ""), None),
    ],
)
def test_what_is_reported(outcome: Outcome, kind: str | None) -> None:
    assert kind_of(outcome) == kind


@pytest.mark.parametrize(
    ("notify", "kinds"),
    [
        (None, {"bounce", "delay"}),
        ("NEVER", set()),
        ("FAILURE", {"bounce"}),
        ("DELAY", {"delay"}),
        ("SUCCESS", {"success"}),
        ("SUCCESS,FAILURE,DELAY", {"bounce", "delay", "success"}),
    ],
)
def test_notify_is_honoured(notify: str | None, kinds: set[str]) -> None:
    dsn = None if notify is None else {"NOTIFY": notify}
    every: tuple[ReportKind, ...] = ("bounce", "delay", "success")
    assert {kind for kind in every if wanted(pushed(dsn=dsn), kind) is not None} == kinds


def test_the_null_return_path_gets_none() -> None:
    assert wanted(pushed(sender=""), "bounce") is None
    assert wanted(pushed(path=""), "bounce") is None
    assert wanted(pushed(sender="", path="bounces@sender.example"), "bounce") is not None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("Auto-Submitted: auto-replied\r\n", False),
        ("auto-submitted: (yes) auto-replied\r\n", True),  # a comment may not stand there (RFC 3834 5)
        ("AUTO-SUBMITTED:\r\n Auto-Replied; by=vacation\r\n", False),
        ("Auto-Submitted: auto-generated\r\n", True),
        ("Auto-Submitted: no\r\n", True),
        ("Precedence: bulk\r\nList-Id: <l.example>\r\n", True),
        ("Precedence: junk\r\n", True),
        ("X-Auto-Submitted: auto-replied\r\n", True),
        ("", True),
    ],
)
def test_an_automatic_reply_gets_none_and_a_list_does(more: str, told: bool) -> None:
    assert (wanted(pushed(headers=HEADERS + more), "bounce") is not None) is told
    assert is_automatic_reply(HEADERS + more) is not told
