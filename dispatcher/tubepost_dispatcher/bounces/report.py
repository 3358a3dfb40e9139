"""Delivery status notifications: RFC 3462 around RFC 3464, RFC 6533 where there is text beyond ASCII. Pure.

What is in one: a text for people, fields for programs, and the header block of the sender's message as far as
it was kept. Never a payload or a key; a device token only where the sender's own words have it: its headers,
ENVID and ORCPT go back to it as they came (RFC 3461 6.3).
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal

from tubepost_dispatcher.bounces.header_text import address, field, message_id_of, one_line, safe_block
from tubepost_dispatcher.bounces.wishes import Wishes
from tubepost_dispatcher.bounces.words import explain
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import spec_of
from tubepost_dispatcher.text import hide_tokens

ReportKind = Literal["bounce", "delay", "success"]

_ACTIONS: Final = {"bounce": "failed", "delay": "delayed", "success": "relayed"}
"""RFC 3464 2.3.3. `relayed`: APNs took it, and tells nobody when a device has it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What there is to report. Times in unix seconds, 0.0 where there is none."""

    kind: ReportKind
    notification: Notification
    outcome: Outcome
    """Of the end; of a delay, of the last attempt."""
    now: float
    last_attempt: float = 0.0
    retry_until: float = 0.0
    """Of a delay: when it is given up."""
    peer: str = ""
    """Host name of APNs' side in the last attempt, empty where there was none."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports.

    Args:
        hostname: ours.
        sender: address of the From field; empty: MAILER-DAEMON at our host.
    """

    hostname: str
    sender: str = ""


def report(event: Event, reporter: Reporter, wishes: Wishes) -> OutgoingMail:
    """Make the mail that tells of an event; its envelope sender is the null one."""
    notification = event.notification
    text = _text_part(event, reporter)
    status = _status_part(event, reporter, wishes)
    headers = safe_block(notification.headers)
    parts = [text, status]
    if headers:
        kind = "text/rfc822-headers" if headers.isascii() else "message/global-headers"
        parts.append(_part(kind, "Headers of your message", headers))
    body_is_ascii = all(part.isascii() for part in parts)
    boundary = _boundary(event, parts)
    head = _head(event, reporter, boundary)
    if not body_is_ascii:
        head += field("Content-Transfer-Encoding", "8bit")
    body = "".join(f"--{boundary}\r\n{part}" for part in parts)
    content = f"{head}\r\nThis is a MIME-encapsulated message.\r\n\r\n{body}--{boundary}--\r\n"
    return OutgoingMail(
        event.kind,
        "",
        notification.return_path,
        content.encode(),
        notification.message_id,
        notification.domain,
        event.now,
        apns_id=notification.apns_id.decode("ascii", "replace"),
    )


def _head(event: Event, reporter: Reporter, boundary: str) -> str:
    notification = event.notification
    serial = notification.apns_id.decode("ascii", "replace") or "0"
    own_id = f"<{notification.message_id}.{serial}.{event.kind}@{reporter.hostname}>"
    original = message_id_of(notification.headers)
    sender = reporter.sender or f"MAILER-DAEMON@{reporter.hostname}"
    head = field("From", f"Notification Delivery System <{address(sender)}>")
    head += field("To", f"<{address(notification.return_path)}>")
    head += field("Subject", _subject(event))
    head += field("Date", _date(event.now))
    head += field("Message-ID", own_id)
    if original:
        head += field("In-Reply-To", original) + field("References", original)
    head += field("Auto-Submitted", "auto-replied")
    head += field("MIME-Version", "1.0")
    return (
        f'{head}Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"\r\n'
    )


def _subject(event: Event) -> str:
    match event.kind:
        case "bounce":
            return f"Push notification not delivered: {event.outcome.reason}"
        case "delay":
            return "Push notification delayed"
        case "success":
            return "Push notification handed to APNs"


def _text_part(event: Event, reporter: Reporter) -> str:
    return _part("text/plain", "Explanation", explain(event_words(event), reporter.hostname))


def event_words(event: Event) -> dict[str, str]:
    """What `words.explain` fills its sentences with; every value is one line without device tokens."""
    notification, outcome = event.notification, event.outcome
    token = notification.push.token.decode("ascii", "replace")
    spec = spec_of(outcome)
    return {
        "kind": event.kind,
        "recipient": _recipient(notification),
        "accepted": _date(notification.accepted_at),
        "attempts": str(notification.attempt),
        "message_id": one_line(notification.message_id),
        "apns_id": one_line(outcome.apns_id or notification.apns_id.decode("ascii", "replace")),
        "answer": one_line(_answer(outcome)),
        "detail": one_line(hide_tokens(outcome.detail, token), 400),
        "help": spec.help,
        "remedy": spec.remedy,
        "peer": event.peer,
        "by": "apns" if outcome.status else "us",
        "until": _date(event.retry_until) if event.retry_until else "",
        "since": _date(outcome.timestamp / 1000) if outcome.timestamp else "",
    }


@functools.lru_cache(maxsize=64)
def _at(second: int) -> str:
    return formatdate(second)


def _date(seconds: float) -> str:
    return _at(int(seconds))


def _answer(outcome: Outcome) -> str:
    """What APNs said, or our own word; empty where nobody has said anything yet."""
    return f"{outcome.status} {outcome.reason or 'OK'}" if outcome.status else outcome.reason


def _recipient(notification: Notification) -> str:
    """The recipient as it may be shown: a device token in it is in short form, in quotes where need be."""
    token = notification.push.token.decode("ascii", "replace")
    return address(hide_tokens(notification.recipient, token))


def _status_part(event: Event, reporter: Reporter, wishes: Wishes) -> str:
    notification, outcome = event.notification, event.outcome
    fields = ""
    if wishes.envelope_id:
        fields += field("Original-Envelope-Id", wishes.envelope_id)
    fields += field("Reporting-MTA", f"dns; {reporter.hostname}")
    fields += field("X-Tubepost-Message-Id", notification.message_id)
    fields += field("Arrival-Date", _date(notification.accepted_at))
    fields += "\r\n"
    if wishes.recipient:
        fields += field("Original-Recipient", f"{_type(wishes.recipient_type)}; {wishes.recipient}")
    recipient = _recipient(notification)
    fields += field("Final-Recipient", f"{'rfc822' if recipient.isascii() else 'utf-8'}; {recipient}")
    fields += field("Action", _ACTIONS[event.kind])
    fields += field("Status", _status(event))
    if event.peer:
        fields += field("Remote-MTA", f"dns; {event.peer}")
    if _answer(outcome):
        fields += field("Diagnostic-Code", _diagnostic(event))
    if event.last_attempt:
        fields += field("Last-Attempt-Date", _date(event.last_attempt))
    if event.kind == "delay" and event.retry_until:
        fields += field("Will-Retry-Until", _date(event.retry_until))
    serial = outcome.apns_id or notification.apns_id.decode("ascii", "replace")
    fields += field("X-Tubepost-Apns-Id", serial)
    if outcome.timestamp:
        fields += field("X-Tubepost-Token-Invalid-Since", _date(outcome.timestamp / 1000))
    kind = "message/delivery-status" if fields.isascii() else "message/global-delivery-status"
    return _part(kind, "Delivery report", fields)


def _type(kind: str) -> str:
    return kind if kind.isascii() and kind.replace("-", "").isalnum() else "unknown"


def _status(event: Event) -> str:
    code = spec_of(event.outcome).enhanced
    if event.kind == "delay" and not code.startswith("4"):
        return "4.0.0"
    return code


def _diagnostic(event: Event) -> str:
    outcome = event.outcome
    if outcome.status:
        return f"X-APNs; {_answer(outcome)}"
    token = event.notification.push.token.decode("ascii", "replace")
    detail = one_line(hide_tokens(outcome.detail, token), 400)
    return f"X-Tubepost; {outcome.reason}" + (f" ({detail})" if detail else "")


def _part(kind: str, description: str, body: str) -> str:
    if kind.startswith("text/"):
        kind += f"; charset={'us-ascii' if body.isascii() else 'utf-8'}"
    encoding = "" if body.isascii() else field("Content-Transfer-Encoding", "8bit")
    return f"Content-Description: {description}\r\nContent-Type: {kind}\r\n{encoding}\r\n{body}\r\n"


def _boundary(event: Event, parts: list[str]) -> str:
    body = "".join(parts)
    seed = f"{event.notification.message_id} {event.kind} {event.now}"
    while True:
        seed = hashlib.blake2b(f"{seed}\n{body}".encode("utf-8", "replace"), digest_size=16).hexdigest()
        if seed not in body:
            return f"=_{seed}"
