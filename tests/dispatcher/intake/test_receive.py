from __future__ import annotations

import pytest

from tests.support.mcmt import TOKEN, message, part
from tubepost_api.config import McmtReception
from tubepost_dispatcher.intake.receive import Mail, Push, receive
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Recipient, SessionFacts, Transaction

ID = b"00000000-0000-4000-8000-000000000001"
EMAIL = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nhello\r\n"
PLAIN = b"Subject: x\r\n\r\nhello\r\n"


class NoReplier:
    def transaction_done(self, transaction: Transaction[str], reply: Reply) -> None:
        raise AssertionError("reading answers nobody")


def received(
    content: bytes, reception: McmtReception = McmtReception.ALLOW, *, relay: bool = False
) -> Push | Mail | Reply:
    recipient = Recipient("s@push.example", "push.example", "entry", {"NOTIFY": "FAILURE"})
    session = SessionFacts("192.0.2.1", 4711, user="app")
    transaction = Transaction(
        NoReplier(), session, "m1", "a@b.example", [recipient], content, dsn={"RET": "HDRS"}
    )
    return receive(transaction, recipient, reception, relay=relay, next_id=lambda: ID, now=1.5)


def test_a_push_part_becomes_a_notification_with_its_envelope() -> None:
    content = message(part())
    found = received(content)
    assert isinstance(found, Push)
    (notification,) = found.notifications
    assert (notification.apns_id, notification.message_id, notification.sender) == (ID, "m1", "a@b.example")
    assert (notification.recipient, notification.domain) == ("s@push.example", "push.example")
    assert (notification.user, notification.client_address) == ("app", "192.0.2.1")
    assert (notification.size, notification.accepted_at, notification.attempt) == (len(content), 1.5, 0)
    assert notification.dsn == {"RET": "HDRS", "NOTIFY": "FAILURE"}
    assert notification.push.token == TOKEN
    assert found.email is None


def test_each_push_part_is_a_notification_of_its_own() -> None:
    found = received(message(part(), part(), EMAIL))
    assert isinstance(found, Push)
    assert len(found.notifications) == 2
    assert found.email == b"Subject: x\r\n\r\nhello\r\n"


@pytest.mark.parametrize("relay", [False, True])
def test_an_email_part_alone_is_mail_where_there_is_a_relay(relay: bool) -> None:
    found = received(message(EMAIL), relay=relay)
    if relay:
        assert found == Mail(b"Subject: x\r\n\r\nhello\r\n")
    else:
        assert isinstance(found, Reply)
        assert (found.code, found.enhanced, found.reason) == (554, "5.6.0", "NoPushPart")


def test_what_reception_means() -> None:
    mcmt = message(part())
    assert received(PLAIN) == Mail(PLAIN)
    assert received(PLAIN, McmtReception.REJECT) == Mail(PLAIN)
    assert received(mcmt, McmtReception.PASSTHRU) == Mail(mcmt)
    found = received(mcmt, McmtReception.REJECT)
    assert isinstance(found, Reply)
    assert (found.code, found.reason) == (554, "McmtRejected")


def test_a_relative_expiration_counts_from_acceptance() -> None:
    found = received(message(part(inner=[b"apns-expiration: 3600"])))
    assert isinstance(found, Push)
    assert found.notifications[0].push.expiration == 3601
    assert found.notifications[0].push.warnings == ("expiration-relative",)
    found = received(message(part(inner=[b"apns-expiration: 1764000000"])))
    assert isinstance(found, Push)
    assert found.notifications[0].push.expiration == 1_764_000_000
