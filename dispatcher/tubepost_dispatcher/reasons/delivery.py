"""Reasons of delivery's own: what APNs never answered. All but the last five are transient. Data."""

from __future__ import annotations

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import Action, ReasonSpec, Source


def _local(
    reason: str, enhanced: str, help_: str, remedy: str = "", legacy_code: int = 1, text: str = ""
) -> ReasonSpec:
    return ReasonSpec(
        reason,
        OutcomeKind.TRANSIENT,
        451,
        enhanced,
        help_,
        remedy,
        legacy_code,
        text,
        action=Action.BACK_OFF,
        source=Source.DELIVERY,
    )


_REACH = "Check name resolution, network policies and firewalls towards APNs."

DELIVERY_REASONS: tuple[ReasonSpec, ...] = (
    _local("ConnectFailed", "4.4.1", "No connection: name resolution or TCP failed.", _REACH),
    _local("ConnectTimeout", "4.4.1", "No connection within the connect timeout.", _REACH),
    _local(
        "TlsFailed",
        "4.7.5",
        "The TLS handshake failed, or HTTP/2 was not agreed on.",
        "Check the route's tls settings and what stands between here and APNs.",
    ),
    _local(
        "CertificateVerifyFailed",
        "4.7.5",
        "The server's certificate was not accepted.",
        "Check spec.tls of the ApnRoute: the CA and the server's name.",
    ),
    _local("ProxyRefused", "4.4.1", "The HTTP CONNECT proxy refused.", "Check spec.proxy of the ApnRoute."),
    _local(
        "ConnectionLost",
        "4.4.2",
        "The connection ended before the answer; it may have been taken.",
        legacy_code=255,
    ),
    _local(
        "ResponseTimeout",
        "4.4.2",
        "No answer within the response timeout; it may have been taken.",
        legacy_code=255,
    ),
    _local("StreamReset", "4.4.2", "APNs reset the stream; it may have been taken.", legacy_code=255),
    _local("StreamRefused", "4.4.5", "APNs refused it unseen several times in a row."),
    _local(
        "ProtocolError",
        "4.5.0",
        "The answer could not be understood; it may have been taken.",
        "Check that the route's endpoint is an APNs server.",
        255,
    ),
    _local(
        "NoConnectionInTime", "4.4.1", "No connection, or no free stream on one, within the deadline.", _REACH
    ),
    _local(
        "RouteSilent",
        "4.4.2",
        "Requests on this route time out; single probes are sent until APNs answers again.",
        "Check what stands between here and APNs. A second route takes over where there is one.",
    ),
    _local(
        "RouteResting",
        "4.3.2",
        "APNs, or a proxy before it, asked to wait (Retry-After).",
    ),
    _local(
        "RouteHeld",
        "4.3.5",
        "The route is held since APNs refuses its credential.",
        "Mend the credential that the ApnRoute's conditions name.",
    ),
    _local(
        "EnvironmentMismatch",
        "4.3.5",
        "Sandbox and Production seem to be mixed up: APNs refused many device tokens of this client or user, "
        "and accepted none lately.",
        "Check the ApnRoute's environment and topic against the tokens.",
    ),
    _local(
        "ClockWrong",
        "4.3.5",
        "The route is held: fresh provider tokens are expired by APNs' clock.",
        "Set this machine's clock.",
    ),
    _local(
        "CredentialMissing",
        "4.3.5",
        "The route's credential is missing or unusable.",
        "Mend the Secret that the ApnRoute's conditions name.",
    ),
    _local(
        "CredentialExpired",
        "4.3.5",
        "The route's certificate is expired or not yet valid.",
        "Renew the certificate in the route's Secret.",
    ),
    _local(
        "Throttled",
        "4.7.0",
        "The delivery rate of this domain is used up.",
        "Send more slowly, or raise spec.delivery.throttle.",
        text="Throttled: the delivery rate of this domain is used up, try later",
    ),
    _local(
        "Suspended",
        "4.3.2",
        "Delivery is suspended for this domain.",
        "Set spec.delivery.mode to Deliver.",
        text="Delivery is suspended for this domain",
    ),
    _local(
        "DomainGone",
        "4.3.5",
        "The domain was removed while the message waited for a repetition.",
        "Add the domain again if messages for it are still due.",
        text="This domain is no longer served here, try again later",
    ),
    _local(
        "ClientGone",
        "4.4.2",
        "The client closed the connection before its reply; what was not sent was withdrawn.",
        text="Connection lost",
    ),
    _local(
        "ShuttingDown", "4.3.2", "The dispatcher is stopping or this pool is being replaced.", legacy_code=10
    ),
    _local(
        "InternalError",
        "4.3.0",
        "A fault of Tubepost.",
        "Report it with the message id.",
        255,
        text="Internal error, try again later",
    ),
    _local(
        "PolicyFailed",
        "4.3.0",
        "A hook of the PushDomain's policy failed, took too long, or its process died; it is called again.",
        "The detail names the hook and its line; correct the module in the ConfigMap of spec.policy.",
        text="The policy of this domain failed, try again later",
    ),
    ReasonSpec(
        "DroppedByPolicy",
        OutcomeKind.PERMANENT,
        554,
        "5.7.1",
        "A hook of the PushDomain's policy dropped it; no bounce is made.",
        "The detail says why; the hook is in the ConfigMap of spec.policy.",
        4,
        source=Source.DELIVERY,
    ),
    ReasonSpec(
        "ReroutedByPolicy",
        OutcomeKind.PERMANENT,
        554,
        "5.7.1",
        "A hook of the PushDomain's policy sends a mail in the place of the notification.",
        "Nothing, if that is meant; the hook is in the ConfigMap of spec.policy.",
        4,
        source=Source.DELIVERY,
    ),
    ReasonSpec(
        "Expired",
        OutcomeKind.PERMANENT,
        554,
        "5.4.7",
        "It was queued for longer than messageExpiration, or until after its apns-expiration.",
        "The reason of its last attempt says what kept it; see also spec.delivery.messageExpiration.",
        4,  # the code of whatever is given up for a reason that Momentum had no code for
        source=Source.DELIVERY,
    ),
    ReasonSpec(
        "QueueGone",
        OutcomeKind.PERMANENT,
        554,
        "5.3.2",
        "Its queue was on a volume that went with its pod, and it could not be delivered before that.",
        "Send it again; the administrator can give spec.queue.disk a claim, and pods more time to end.",
        4,
        source=Source.DELIVERY,
    ),
    ReasonSpec(
        "Dropped",
        OutcomeKind.PERMANENT,
        554,
        "5.7.0",
        "An operator dropped it from the queue (`tubepost queue drop`); who and why is in the detail.",
        "Ask whoever dropped it.",
        4,
        source=Source.DELIVERY,
    ),
)
