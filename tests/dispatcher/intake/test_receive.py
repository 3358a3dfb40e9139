from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.mcmt import PAYLOAD, TOKEN, message, part
from tubepost_api.config import McmtReception
from tubepost_dispatcher.context import OURS
from tubepost_dispatcher.intake import receive as module
from tubepost_dispatcher.intake.mcmt.parser import parse_message
from tubepost_dispatcher.intake.receive import Mail, Push, receive
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import PushFields, Recipient, SessionFacts, Transaction

ID = b"00000000-0000-4000-8000-000000000001"
EMAIL = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nhello\r\n"
PLAIN = b"Subject: x\r\n\r\nhello\r\n"


class NoReplier:
    def transaction_done(self, transaction: Transaction[str], reply: Reply) -> None:
        raise AssertionError("reading answers nobody")


def received(
    content: bytes,
    reception: McmtReception = McmtReception.ALLOW,
    *,
    relay: bool = False,
    to: Sequence[str] = ("s@push.example",),
    addresses: bool = True,
) -> Push[str] | Mail | Reply:
    recipients = [Recipient(one, "push.example", f"entry {one}", {"NOTIFY": "FAILURE"}) for one in to]
    session = SessionFacts("192.0.2.1", 4711, user="app")
    transaction = Transaction(
        NoReplier(), session, "m1", "a@b.example", recipients, content, dsn={"RET": "HDRS"}
    )
    return receive(transaction, reception, relay=relay, next_id=lambda: ID, now=1.5, addresses=addresses)


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


def push(content: bytes, *to: str) -> Push[str]:
    found = received(content, to=to)
    assert isinstance(found, Push)
    return found


def test_every_recipient_has_a_notification_of_every_part() -> None:
    found = push(message(part(b'{"a":1}'), part(b'{"b":1}')), "x@push.example", "y@push.example")
    assert [(one.recipient, one.push.payload, to.serving) for one, to in found.addressed()] == [
        ("x@push.example", b'{"a":1}', "entry x@push.example"),
        ("x@push.example", b'{"b":1}', "entry x@push.example"),
        ("y@push.example", b'{"a":1}', "entry y@push.example"),
        ("y@push.example", b'{"b":1}', "entry y@push.example"),
    ]
    assert found.parts == 2


def test_a_recipient_named_twice_has_one_notification() -> None:
    found = push(message(part()), "x@push.example", "y@push.example", "x@push.example")
    assert [one.recipient for one in found.notifications] == ["x@push.example", "y@push.example"]


@pytest.mark.pure
def test_a_message_is_read_once_where_its_tokens_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def counted(*args: Any, **more: Any) -> Any:
        reads.append(args)
        return parse_message(*args, **more)

    monkeypatch.setattr(module, "parse_message", counted)
    push(message(part()), *(f"{number}@push.example" for number in range(10)))
    assert len(reads) == 1
    push(message(part(token=None)), *(f"{number:064}@push.example" for number in range(10)))
    assert len(reads) == 11


def test_a_device_token_may_be_each_recipients_own() -> None:
    tokens = ["ab" * 32, "cd" * 32]
    relative = part(token=None, inner=[b"apns-expiration: 3600"])
    found = push(message(relative), *(f"{token}@push.example" for token in tokens))
    assert [one.push.token.decode() for one in found.notifications] == tokens
    assert [one.push.expiration for one in found.notifications] == [3601, 3601]


def test_a_recipient_that_is_no_device_token_is_named() -> None:
    found = received(message(part(token=None)), to=["ab" * 32 + "@push.example", "joe@push.example"])
    assert isinstance(found, Reply)
    assert (found.code, found.reason) == (550, "MissingDeviceToken")
    assert found.text.startswith('for "joe@push.example": part 1: ')


def test_an_apns_id_stands_for_one_notification() -> None:
    own = b"99999999-2222-4333-8444-555555555555"
    content = message(part(inner=[b"apns-id: " + own]), part(inner=[b"apns-id: " + own]), part())
    found = push(content, "x@push.example", "y@push.example")
    assert [one.apns_id for one in found.notifications] == [own, ID, ID, ID, ID, ID]
    assert [one.push.warnings for one in found.notifications[:3]] == [
        ("apns-id-repeated",),
        ("apns-id-repeated",),
        (),
    ]


def test_notifications_of_a_message_are_bounded() -> None:
    content = message(*[part()] * 3)
    most = module.MAX_NOTIFICATIONS // 3
    assert len(push(content, *(f"{n}@push.example" for n in range(most))).notifications) == 3 * most
    found = received(content, to=[f"{n}@push.example" for n in range(most + 1)])
    assert isinstance(found, Reply)
    assert (found.code, found.enhanced, found.reason) == (554, "5.5.3", "TooManyNotifications")


def test_variables_that_a_sender_may_not_set_are_ignored_with_a_warning() -> None:
    forged = b"".join(
        b"X-Tubepost-Context: %s=6.6.6.6\r\n" % name.encode()
        for name in (*OURS, "DLV_Source_Addr", "campaign")
    )
    found = received(forged + message(part(), part()))
    assert isinstance(found, Push)
    assert [one.context for one in found.notifications] == [
        {"DLV_Source_Addr": "6.6.6.6", "campaign": "6.6.6.6"}
    ] * 2
    assert [one.push.warnings for one in found.notifications] == [("context-reserved",), ()]


def test_addresses_are_ignored_where_the_pushdomain_says_so() -> None:
    context = b"X-Tubepost-Context: DLV_Dest_Addr=x\r\nX-Tubepost-Context: campaign=y\r\n"
    found = received(context + message(part()), addresses=False)
    assert isinstance(found, Push)
    (only,) = found.notifications
    assert (only.context, only.push.warnings) == ({"campaign": "y"}, ("context-address-ignored",))


@pytest.mark.parametrize("reception", McmtReception)
def test_a_part_that_came_as_fields_is_a_notification_whatever_mails_are(reception: McmtReception) -> None:
    fields = PushFields({b"x-device-token": TOKEN, b"apns-priority": b"5"}, {"campaign": "x"})
    recipients = [Recipient("s@push.example", "push.example", "entry")]
    transaction = Transaction(
        NoReplier(), SessionFacts("192.0.2.1", 1, user="app"), "m1", "", recipients, PAYLOAD, fields=fields
    )
    found = receive(transaction, reception, relay=False, next_id=lambda: ID, now=1.5, keep_headers=True)
    assert isinstance(found, Push)
    (notification,) = found.notifications
    assert (notification.push.token, notification.push.priority) == (TOKEN, 5)
    assert (notification.context, notification.size) == ({"campaign": "x"}, len(PAYLOAD))
    assert (notification.apns_id, notification.user, notification.headers) == (ID, "app", "")
