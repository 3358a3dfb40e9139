"""Reasons of acceptance: messages that are in order but are not taken, or not now. Data."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import ReasonSpec, Source

_T, _P = OutcomeKind.TRANSIENT, OutcomeKind.PERMANENT


def _row(
    reason: str,
    kind: OutcomeKind,
    smtp_code: int,
    enhanced: str,
    text: str,
    help_: str,
    remedy: str,
) -> ReasonSpec:
    legacy_code = 1 if kind is _T else 4
    return ReasonSpec(
        reason, kind, smtp_code, enhanced, help_, remedy, legacy_code, text, source=Source.ACCEPTANCE
    )


ACCEPTANCE_REASONS: Final[tuple[ReasonSpec, ...]] = (
    _row(
        "UnknownDomain",
        _P,
        550,
        "5.1.2",
        "No such push domain here",
        "No PushDomain serves the recipient's domain.",
        "Correct the recipient, or add the domain.",
    ),
    _row(
        "DomainRefused",
        _P,
        550,
        "5.7.1",
        "This domain takes no notifications",
        "The recipient's domain has delivery mode Refuse. What is queued for it fails.",
        "Set delivery.mode to Deliver if it should take them.",
    ),
    _row(
        "OneRecipient",
        _T,
        452,
        "4.5.3",
        "One recipient per message with Direct acceptance, send it again",
        "With Direct acceptance a message has one recipient.",
        "Mail servers send the others by themselves. With acceptance.mode Queued there may be many.",
    ),
    _row(
        "McmtRejected",
        _P,
        554,
        "5.7.1",
        "MCMT messages are not accepted here",
        "listener.mcmtReception is Reject.",
        "Set it to Allow.",
    ),
    _row(
        "NotMcmt",
        _P,
        554,
        "5.6.0",
        "Not an MCMT message, and no passthru relay is configured for mail",
        "Ordinary mail came, and there is nowhere to hand it to.",
        "Configure spec.passthru, or send MCMT messages.",
    ),
    _row(
        "TooManyPushParts",
        _P,
        554,
        "5.6.0",
        "One push part per message with Direct acceptance, send a message for each",
        "With Direct acceptance a message has one push part.",
        "Send a message for each notification, or set acceptance.mode to Queued.",
    ),
    _row(
        "QueueFull",
        _T,
        452,
        "4.3.1",
        "The queue is full, try again later",
        "The queue has reached one of its bounds, or its volume has no more than the reserve left.",
        "See why notifications stay in the queue; enlarge the volume, or raise spec.queue.",
    ),
    _row(
        "QueueBusy",
        _T,
        451,
        "4.4.5",
        "Too much waits to be stored, try again later",
        "More comes in than the disk of the queue takes, or the servers of its stream.",
        "Use a faster volume, or more replicas.",
    ),
    _row(
        "QueueSlow",
        _T,
        451,
        "4.3.0",
        "The queue does not answer in time, try again later",
        "The queue's disk, or stream, did not answer by the acceptance deadline; the message is not kept.",
        "See what slows the volume, or the servers of the stream, down.",
    ),
    _row(
        "QueueReadOnly",
        _T,
        451,
        "4.3.0",
        "The queue cannot be written to, try again later",
        "The volume or the file of the queue is read-only.",
        "See the log for the file, and make it writable; the queue looks again by itself.",
    ),
    _row(
        "QueueFailed",
        _T,
        451,
        "4.3.0",
        "The disk of the queue failed, try again later",
        "The disk reported an error; nothing of the message is kept.",
        "See the log and the volume; the queue goes on by itself when it can.",
    ),
    _row(
        "QueueAway",
        _T,
        451,
        "4.4.1",
        "NATS, which has the queue, does not answer or refuses, try again later",
        "The servers of the queue's stream were not reached in time, or the stream cannot be used.",
        "See the log for what NATS answered; the queue goes on by itself when it can.",
    ),
    _row(
        "QueueLocked",
        _T,
        451,
        "4.3.0",
        "The queue is not open yet, try again later",
        "Another process has the queue's partition: the worker before, or another dispatcher.",
        "See the log for the process; do not give one directory to two dispatchers.",
    ),
    _row(
        "QueueNewer",
        _T,
        451,
        "4.3.0",
        "The queue was written by a later release, try again later",
        "A later release wrote the queue's partition; this one leaves it alone.",
        "Run the later release, or let it empty the queue before going back.",
    ),
    _row(
        "QueueClosed",
        _T,
        451,
        "4.3.2",
        "The queue is closed, try again later",
        "The dispatcher is stopping.",
        "Another replica, or the next start, takes the message.",
    ),
)
