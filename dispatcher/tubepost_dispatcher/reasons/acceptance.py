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
        "OneRecipient",
        _T,
        452,
        "4.5.3",
        "One recipient per message with Direct acceptance, send it again",
        "With Direct acceptance a message has one recipient.",
        "Mail servers send the others by themselves.",
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
        "Send a message for each notification.",
    ),
)
