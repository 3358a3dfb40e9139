"""Reports made by hand, and read back by the standard library's parser."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message
from typing import Any, cast

from tests.dispatcher.delivery.support import DEAD, NAME
from tubepost_dispatcher.bounces.report import Event, Reporter, ReportKind, report
from tubepost_dispatcher.bounces.wishes import Wishes
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome

TOKEN = "c0ffee" * 11
APNS_ID = "4a0c1d2e-0000-4000-8000-000000000001"
ACCEPTED = 1_800_000_000.0
HEADERS = "From: app@sender.example\r\nTo: s@apn_example.com\r\nSubject: Hello\r\nMessage-ID: <1@sender.example>\r\n"


def pushed(**values: Any) -> Notification:
    """A notification whose payload and token must be in no report."""
    sender = values.pop("sender", "app@sender.example")
    recipient = values.pop("recipient", f"s@{NAME}")
    values = {"headers": HEADERS, "attempt": 1, "accepted_at": ACCEPTED} | values
    push = PushPart(TOKEN.encode(), b'{"aps":{"alert":"SECRET-ALERT"}}', return_path=values.pop("path", None))
    return Notification(push, APNS_ID.encode(), "1a2b3c", sender, recipient, NAME, **values)


def made(
    notification: Notification | None = None,
    kind: ReportKind = "bounce",
    outcome: Outcome = DEAD,
    wishes: Wishes | None = None,
    sender: str = "",
    **values: Any,
) -> bytes:
    """The content of a report."""
    values = {"now": ACCEPTED + 10, "last_attempt": ACCEPTED + 9, "peer": "api.push.apple.com"} | values
    event = Event(kind, notification or pushed(), outcome, **values)
    return report(event, Reporter("mx.tubepost.example", sender), wishes or Wishes()).content


class Read:
    """A report taken apart by `email`."""

    def __init__(self, content: bytes) -> None:
        self.message = cast("EmailMessage", email.message_from_bytes(content, policy=email.policy.SMTPUTF8))
        assert not self.message.defects
        self.parts = cast("list[Message]", self.message.get_payload())
        status = cast("list[Message]", self.parts[1].get_payload())
        # `email` does not take message/global-delivery-status apart.
        self.of_message, self.of_recipient = status[0], status[-1]
        self.blocks = len(status)
        payload = self.parts[0].get_payload(decode=True)
        assert isinstance(payload, bytes)
        self.text = payload.decode()
