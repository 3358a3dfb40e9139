"""A report says what happened, to people and to programs, and nothing in it can break it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.bounces.support import ACCEPTED, APNS_ID, HEADERS, TOKEN, Read, made, pushed
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED
from tubepost_dispatcher.bounces.report import Event, Reporter, report
from tubepost_dispatcher.bounces.wishes import Wishes
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import permanent_outcome

ANY = st.text(max_size=80)


def test_a_bounce_for_people_and_programs() -> None:
    read = Read(
        made(wishes=Wishes(envelope_id="QQ 314", recipient_type="rfc822", recipient="phone+1@x.example"))
    )
    head = read.message
    assert head.get_content_type() == "multipart/report"
    assert head.get_param("report-type") == "delivery-status"
    assert head["From"] == "Notification Delivery System <MAILER-DAEMON@mx.tubepost.example>"
    assert head["To"] == "app@sender.example"
    assert head["Subject"] == "Push notification not delivered: Unregistered"
    assert head["Auto-Submitted"] == "auto-replied"
    assert head["In-Reply-To"] == "<1@sender.example>"
    assert head["Message-ID"] == f"<1a2b3c.{APNS_ID}.bounce@mx.tubepost.example>"
    assert dict(read.of_message.items()) == {
        "Original-Envelope-Id": "QQ 314",
        "Reporting-MTA": "dns; mx.tubepost.example",
        "X-Tubepost-Message-Id": "1a2b3c",
        "Arrival-Date": "Fri, 15 Jan 2027 08:00:00 -0000",
    }
    assert dict(read.of_recipient.items()) == {
        "Original-Recipient": "rfc822; phone+1@x.example",
        "Final-Recipient": "rfc822; s@apn_example.com",
        "Action": "failed",
        "Status": "5.1.6",
        "Remote-MTA": "dns; api.push.apple.com",
        "Diagnostic-Code": "X-APNs; 410 Unregistered",
        "Last-Attempt-Date": "Fri, 15 Jan 2027 08:00:09 -0000",
        "X-Tubepost-Apns-Id": APNS_ID,
        "X-Tubepost-Token-Invalid-Since": "Tue, 14 Nov 2023 22:13:20 -0000",
    }
    assert read.blocks == 2
    assert [part.get_content_type() for part in read.parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert read.parts[2].get_payload() == HEADERS
    assert "was not delivered. It will not be tried again." in read.text
    assert "APNs (api.push.apple.com) answered: 410 Unregistered" in read.text
    assert "What to do: Remove the token from the list of devices." in read.text
    assert max(map(len, read.text.split("\r\n"))) <= 78


def test_the_envelope_is_of_the_null_sender_to_the_return_path() -> None:
    mail = report(
        Event("bounce", pushed(path="bounces+7@sender.example"), DEAD, ACCEPTED),
        Reporter("mx.example"),
        Wishes(),
    )
    assert (mail.kind, mail.sender, mail.recipient) == ("bounce", "", "bounces+7@sender.example")
    assert (mail.message_id, mail.domain, mail.created_at) == ("1a2b3c", "apn_example.com", ACCEPTED)


def test_a_delay() -> None:
    read = Read(made(kind="delay", outcome=BUSY, retry_until=ACCEPTED + 86_400))
    assert read.of_recipient["Action"] == "delayed"
    assert read.of_recipient["Status"] == "4.3.2"
    assert read.of_recipient["Will-Retry-Until"] == "Sat, 16 Jan 2027 08:00:00 -0000"
    assert read.message["Subject"] == "Push notification delayed"
    assert "tried again until Sat, 16 Jan 2027 08:00:00 -0000" in " ".join(read.text.split())


def test_a_delay_without_an_attempt_has_a_transient_status() -> None:
    read = Read(made(pushed(attempt=0), "delay", Outcome(OutcomeKind.TRANSIENT), last_attempt=0.0, peer=""))
    assert read.of_recipient["Status"].startswith("4.")
    assert read.of_recipient["Last-Attempt-Date"] is None
    assert "It has not been tried yet." in read.text


def test_success_is_relayed_since_no_device_confirms_it() -> None:
    read = Read(made(kind="success", outcome=DELIVERED))
    assert read.of_recipient["Action"] == "relayed"
    assert read.of_recipient["Status"] == "2.0.0"
    assert read.of_recipient["X-Tubepost-Apns-Id"] == DELIVERED.apns_id
    assert "APNs has taken" in read.text


def test_what_apns_never_saw_is_said_to_be_ours() -> None:
    outcome = permanent_outcome("Expired", "expired after 3 attempts, the last one: ServiceUnavailable")
    read = Read(made(outcome=outcome, peer="", last_attempt=0.0))
    assert read.of_recipient["Diagnostic-Code"] == f"X-Tubepost; Expired ({outcome.detail})"
    assert read.of_recipient["Remote-MTA"] is None
    assert read.of_recipient["Status"] == "5.4.7"
    assert "Reason: Expired" in read.text


def test_what_failed_for_now_too_often_has_failed() -> None:
    read = Read(made(outcome=BUSY))
    assert (read.of_recipient["Action"], read.of_recipient["Status"]) == ("failed", "4.3.2")


def test_the_from_address_can_be_chosen() -> None:
    read = Read(made(sender="bounces@corp.example"))
    assert read.message["From"] == "Notification Delivery System <bounces@corp.example>"


def test_without_kept_headers_there_are_two_parts() -> None:
    read = Read(made(pushed(headers="")))
    assert len(read.parts) == 2
    assert read.message["In-Reply-To"] is None


@pytest.mark.parametrize("recipient", [f"{TOKEN}@apn_example.com", f"x{TOKEN.upper()}@apn_example.com"])
def test_a_device_token_in_the_recipient_is_shortened(recipient: str) -> None:
    content = made(pushed(recipient=recipient, headers=""))
    assert TOKEN not in content.decode().lower()
    assert re.fullmatch(
        r'rfc822; "x?c0ffeec0\.\.\."@apn_example\.com',
        Read(content).of_recipient["Final-Recipient"],
        re.IGNORECASE,
    )


def test_nothing_of_the_payload_and_the_token_is_in_it() -> None:
    outcome = Outcome(OutcomeKind.PERMANENT, "BadDeviceToken", 400, detail=f"token {TOKEN} is bad")
    content = made(outcome=outcome).decode()
    assert TOKEN not in content
    assert "SECRET-ALERT" not in content


def test_the_senders_own_words_come_back_as_they_were() -> None:
    own = HEADERS + f"X-Row: {TOKEN}\r\n"
    content = made(
        pushed(headers=own), wishes=Wishes(recipient_type="rfc822", recipient=f"{TOKEN}@x.example")
    )
    read = Read(content)
    assert read.parts[2].get_payload() == own
    assert read.of_recipient["Original-Recipient"] == f"rfc822; {TOKEN}@x.example"


def test_text_beyond_ascii_makes_it_a_global_report() -> None:
    headers = "Subject: Grüße\r\n"
    notification = pushed(sender="jürgen@bücher.example", recipient="gerät@apn_example.com", headers=headers)
    content = made(notification)
    read = Read(content)
    assert read.parts[1].get_content_type() == "message/global-delivery-status"
    assert "Final-Recipient: utf-8; gerät@apn_example.com" in content.decode()
    assert read.parts[2].get_content_type() == "message/global-headers"
    assert "To: <jürgen@bücher.example>" in content.decode()
    assert headers in content.decode()


@given(
    sender=ANY,
    recipient=ANY,
    headers=st.text(max_size=400) | st.text("ab:\r\n\t -=_\x00\x7f", max_size=400),
    envelope_id=ANY,
    original=ANY,
    original_type=ANY,
    reason=ANY,
    detail=ANY,
    path=st.none() | ANY,
)
def test_no_text_from_outside_breaks_a_report(
    sender: str,
    recipient: str,
    headers: str,
    envelope_id: str,
    original: str,
    original_type: str,
    reason: str,
    detail: str,
    path: str | None,
) -> None:
    notification = pushed(sender=sender, recipient=recipient, headers=headers, path=path)
    outcome = Outcome(OutcomeKind.PERMANENT, reason, 400, detail=detail)
    wishes = Wishes(envelope_id=envelope_id, recipient_type=original_type, recipient=original)
    content = made(notification, outcome=outcome, wishes=wishes, peer="api.push.apple.com")
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", content.replace(b"\r\n", b""))
    content.decode("utf-8")
    # The head and the fields for programs have exactly the names that we gave them.
    head, _, _ = content.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    assert sorted(set(names) - {b"In-Reply-To", b"References", b"Content-Transfer-Encoding"}) == [
        b"Auto-Submitted", b"Content-Type", b"Date", b"From", b"MIME-Version", b"Message-ID", b"Subject", b"To",
    ]  # fmt: skip
    assert len(names) == len(set(names))
    boundary = re.search(rb'boundary="([^"]+)"', head)
    assert boundary is not None
    parts = content.split(b"--" + boundary[1])
    assert len(parts) in (4, 5)
    assert parts[-1] == b"--\r\n"
    status = parts[2].partition(b"\r\n\r\n")[2]
    blocks = [block for block in status.split(b"\r\n\r\n") if block.strip()]
    assert len(blocks) == 2
    for block in blocks:
        for line in block.strip(b"\r\n").split(b"\r\n"):
            assert re.match(
                rb"(Original|Reporting|Arrival|Final|Action|Status|Remote|Diagnostic|Last|X-Tubepost)", line
            )
