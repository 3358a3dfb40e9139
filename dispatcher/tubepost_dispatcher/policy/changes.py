"""From what hooks answer to values that delivery can go by; checked as what a sender writes. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tubepost_dispatcher.context import OURS
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS
from tubepost_dispatcher.intake.mcmt.payload import check_payload
from tubepost_dispatcher.intake.mcmt.values import MAX_EXPIRATION, read_address, read_token, read_values
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.catalogue import lookup, permanent_outcome
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import clean, printable
from tubepost_policy import PERMFAILED, SUCCESS, TEMPFAILED
from tubepost_policy.context import MAX_NAME, MAX_VALUE, MAX_VARIABLES

_FIELDS: Final = {"topic": b"apns-topic", "push_type": b"apns-push-type", "collapse_id": b"apns-collapse-id"}
_KINDS: Final = {
    SUCCESS: OutcomeKind.DELIVERED,
    TEMPFAILED: OutcomeKind.TRANSIENT,
    PERMFAILED: OutcomeKind.PERMANENT,
}


class Refused(Exception):
    """A hook's answer that cannot be gone by; the text says why, for people."""


def changed_part(part: PushPart, changes: Mapping[str, Any]) -> tuple[PushPart, bytes]:
    """A push part as a hook changed it, and the apns-id that it set (empty: none).

    Raises:
        Refused: a value that could not stand in a push part either.
    """
    made, apns_id = copy.copy(part), b""
    for name, value in changes.items():
        refused: Reply | None = None
        match name:
            case "token":
                token = read_token(_text(name, value), "request.token")
                if isinstance(token, bytes):
                    made.token = token
                else:
                    refused = token
            case "payload":
                payload = check_payload(_text(name, value), DEFAULT_LIMITS.max_payload)
                if isinstance(payload, Reply):
                    refused = payload
                else:
                    made.payload = payload.data
                    made.background, made.is_mdm = payload.background, payload.is_mdm
            case "priority":
                refused = read_values({b"apns-priority": str(value).encode("ascii", "replace")}, made)
            case "expiration":
                if type(value) is not int or not 0 <= value <= MAX_EXPIRATION:
                    raise Refused(f"request.expiration {value!r:.40} is not a time in unix seconds")
                made.expiration = value
            case "id":
                refused = read_values({b"apns-id": _text(name, value)}, made)
                apns_id = made.apns_id or b""
            case "topic" | "push_type" | "collapse_id":
                if value == "":
                    setattr(made, name, None)  # as a part that does not have it
                else:
                    refused = read_values({_FIELDS[name]: _text(name, value)}, made)
            case _:
                raise Refused(f"a request has no field {printable(str(name))}")
        if refused is not None:
            raise Refused(f"request.{name}: {refused.text}")
    return made, apns_id


def _text(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise Refused(f"request.{name} is not text")
    return value.encode("utf-8", "replace")


def changed_outcome(outcome: Outcome, changes: Any, classified: Any) -> Outcome:
    """The outcome that an answer of APNs' is taken for; the same one where nothing was changed.

    Raises:
        Refused: what is delivered is called failed, or an answer that makes no sense.
    """
    made = outcome
    if changes:
        status, reason = changes.get("status"), changes.get("reason")
        if type(status) is not int or not 200 <= status <= 599 or not isinstance(reason, str):
            raise Refused("apn_response_eval: its status or reason is not one")
        spec = lookup(status, reason)
        delivered = spec.kind is OutcomeKind.DELIVERED
        made = replace(made, kind=spec.kind, status=status, reason="" if delivered else spec.reason)
    if classified is not None:
        kind = _KINDS.get(classified)
        if kind is None:
            raise Refused("apn_status_classifier: its result is not one")
        if kind is not made.kind:
            made = replace(made, kind=kind)
    if made == outcome:
        return outcome
    if outcome.kind is OutcomeKind.DELIVERED:
        raise Refused("what APNs has taken cannot be called failed: it would be sent a second time")
    what = f"{outcome.status} {outcome.reason}"
    if made.kind is OutcomeKind.DELIVERED:
        return replace(made, reason="", detail=clean(f"{what}, which the policy calls a success"))
    word = "a failure for now" if made.kind is OutcomeKind.TRANSIENT else "a failure for good"
    return replace(made, detail=clean(f"{outcome.detail} {what}, which the policy calls {word}".strip()))


def changed_context(context: Any) -> dict[str, str]:
    """Context variables as a hook leaves them.

    Raises:
        Refused: too many or too long ones, or Tubepost's own.
    """
    if not isinstance(context, dict) or len(context) > MAX_VARIABLES:
        raise Refused(f"a message has at most {MAX_VARIABLES} context variables")
    for name, value in context.items():
        if name in OURS or not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise Refused(f"{printable(name)} is no name of a context variable that a hook may set")
        if not isinstance(value, str) or len(value) > MAX_VALUE or not value.isprintable():
            raise Refused(f"the value of the context variable {printable(name)} is not printable text")
    return context


def dropped(reason: Any) -> Outcome:
    """How a notification ends that a hook drops."""
    if not isinstance(reason, str):
        raise Refused("drop() without a reason")
    return permanent_outcome("DroppedByPolicy", clean(reason))


def rerouted_mail(action: Mapping[str, Any], notification: Notification, now: float) -> OutgoingMail:
    """The mail that a hook sends instead; `now` in unix seconds.

    Raises:
        Refused: its recipient is no address.
    """
    to, content = action.get("to"), action.get("content")
    address = read_address(to.encode("utf-8", "replace")) if isinstance(to, str) else None
    if not address:
        raise Refused(f"send_mail(): {printable(str(to))} is no mail address")
    if not isinstance(content, str) or not content:
        raise Refused("send_mail(): there is no mail")
    return OutgoingMail(
        "reroute",
        notification.return_path,
        address,
        content.encode("utf-8", "replace"),
        notification.message_id,
        notification.domain,
        now,
    )
