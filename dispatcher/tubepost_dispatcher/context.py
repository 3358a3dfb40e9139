"""Context variables: which of them senders may set, and the values of those that are ours. Pure.

Momentum's delivery variables (`DLV_...`), as log formats (`%vctx_mess{NAME}`) and policy hooks see them. What
`OURS` names tells what Tubepost and APNs did: no sender can forge it, whichever way a variable came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import spec_of

TRANSACTION_ID: Final = "DLV_Transaction_ID"
STATUS: Final = "DLV_Response_Status"
DETAIL: Final = "DLV_Response_Status_Detail"
LENGTH: Final = "DLV_Msg_Length"
PEER: Final = "DLV_Remote_IP_Address"
SOURCE_ADDRESS: Final = "DLV_Source_Addr"
DESTINATION_ADDRESS: Final = "DLV_Dest_Addr"

OURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        TRANSACTION_ID: "The apns-id of the notification.",
        STATUS: "Momentum's status code of the attempt; empty when it was delivered, and before an attempt.",
        DETAIL: "Reason and explanation; empty in the same cases.",
        LENGTH: "Bytes sent to APNs: header block and payload. Empty when nothing was sent.",
        PEER: "IP address of the APNs server, or of the proxy. Empty when nothing was sent.",
    }
)
"""The variables that nobody but Tubepost sets, and their meaning."""
ADDRESSES: Final = frozenset({SOURCE_ADDRESS, DESTINATION_ADDRESS})
"""Those that senders may set unless `context.addresses` is Ignore."""

RESERVED: Final = "context-reserved"
"""Warning: a sender has set one of `OURS`."""
ADDRESS_IGNORED: Final = "context-address-ignored"
"""Warning: a sender has set one of `ADDRESSES`, which the PushDomain ignores."""


def sendable(
    context: Mapping[str, str], *, addresses: bool = True
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """What a sender's variables come to: those that it may not set are ignored, with a warning.

    Args:
        context: the variables as the sender gave them.
        addresses: whether it may set `ADDRESSES`.

    Returns:
        What is left (the same object where that is all of it), and warning slugs.
    """
    reserved = not OURS.keys().isdisjoint(context)
    ignored = not addresses and not ADDRESSES.isdisjoint(context)
    if not (reserved or ignored):
        return context, ()
    refused = {*OURS, *(() if addresses else ADDRESSES)}
    kept = {name: value for name, value in context.items() if name not in refused}
    return kept, ((RESERVED,) if reserved else ()) + ((ADDRESS_IGNORED,) if ignored else ())


def context_of(
    notification: Notification, outcome: Outcome | None = None, *, sent_bytes: int = 0, peer: str = ""
) -> dict[str, str]:
    """All variables of a notification: its sender's, and ours.

    Args:
        notification: the notification.
        outcome: of the attempt that they are about; None: before it.
        sent_bytes: header block and payload of that attempt, 0: nothing was sent.
        peer: IP address of the server that it was sent to, empty: nothing was sent.
    """
    status = detail = ""
    if outcome is not None and outcome.kind is not OutcomeKind.DELIVERED:
        status, detail = str(spec_of(outcome).legacy_code), error_text(outcome)
    apns_id = notification.apns_id.decode("ascii", "replace")
    return variables(notification.context, apns_id, status, detail, sent_bytes, peer)


def variables(
    context: Mapping[str, str], apns_id: str, status: str, detail: str, sent_bytes: int, peer: str
) -> dict[str, str]:
    """`context` with `OURS` in place of whatever it says of them; arguments as there."""
    return {
        **context,
        TRANSACTION_ID: apns_id,
        STATUS: status,
        DETAIL: detail,
        LENGTH: str(sent_bytes) if sent_bytes else "",
        PEER: peer,
    }


def error_text(outcome: Outcome) -> str:
    """Reason and explanation of an outcome in one text."""
    return f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
