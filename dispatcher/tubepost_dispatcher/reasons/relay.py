"""The relay client's reasons: mail that the passthru relay has not taken. Data."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import ReasonSpec, Source


def _deferred(reason: str, enhanced: str, text: str, help_: str, remedy: str = "") -> ReasonSpec:
    return ReasonSpec(
        reason, OutcomeKind.TRANSIENT, 451, enhanced, help_, remedy, 1, text, source=Source.RELAY
    )


def _rejected(reason: str, code: int, enhanced: str, text: str, help_: str, remedy: str = "") -> ReasonSpec:
    return ReasonSpec(
        reason, OutcomeKind.PERMANENT, code, enhanced, help_, remedy, 4, text, source=Source.RELAY
    )


_REACH = "Check host and port of spec.passthru, name resolution and network policies."

RELAY_REASONS: Final[tuple[ReasonSpec, ...]] = (
    _rejected(
        "RelayRejected",
        550,
        "5.0.0",
        "",
        "The relay refused the mail for good; code and text of the reply are the relay's.",
        "See what the relay says.",
    ),
    _deferred(
        "RelayDeferred",
        "4.0.0",
        "",
        "The relay refused the mail for now; the text is the relay's, and the code where it is 4xx.",
        "See what the relay says.",
    ),
    _deferred(
        "RelayBusy",
        "4.4.5",
        "Too much mail is on its way to the relay, try again later",
        "Hand-overs to the relay are bounded in number and size, and the bound is reached.",
        "See why the relay is slow; more workers or replicas have more connections.",
    ),
    _deferred("RelayUnreachable", "4.4.1", "Relay cannot be reached", "No connection to the relay.", _REACH),
    _deferred(
        "RelayRefusesConnections",
        "4.4.1",
        "Relay refuses connections",
        "The relay's greeting, or its reply to EHLO and HELO, was a refusal; its code is given.",
        "Check that the relay takes mail from the pods.",
    ),
    _deferred(
        "RelayTimeout",
        "4.4.2",
        "Relay does not answer in time",
        "No answer within spec.passthru.timeout.",
        _REACH,
    ),
    _deferred(
        "RelayConnectionLost",
        "4.4.2",
        "Relay closed the connection",
        "The connection ended before the relay's answer.",
    ),
    _deferred(
        "RelayTlsFailed",
        "4.7.5",
        "TLS with the relay failed",
        "The TLS handshake failed, or the relay's certificate was not accepted.",
        "Check tls and verify of spec.passthru and the relay's certificate.",
    ),
    _deferred(
        "RelayAuthFailed",
        "4.7.0",
        "Relay refuses our authentication",
        "The relay does not accept the name and password.",
        "Check the Secret of spec.passthru.authSecretName.",
    ),
    _deferred(
        "RelayCapabilityMissing",
        "4.7.0",
        "Relay does not offer what is configured",
        "STARTTLS or AUTH is configured, and the relay does not offer it.",
        "Correct spec.passthru, or the relay.",
    ),
    _deferred(
        "RelayOutOfOrder",
        "4.4.0",
        "Relay answers out of order",
        "The relay sent a reply that its command cannot have; its code is given.",
        "Check that what listens there is a mail server.",
    ),
    _rejected(
        "RelayNoSmtputf8",
        550,
        "5.6.7",
        "Relay does not support SMTPUTF8",
        "The mail needs SMTPUTF8, and the relay does not offer it.",
        "Use ASCII addresses and headers, or a relay that knows RFC 6531.",
    ),
    _rejected(
        "MailLoop",
        554,
        "5.4.6",
        "Too many hops, the message loops",
        "The mail has more than 50 Received: fields.",
        "See why the relay sends it back here.",
    ),
)
