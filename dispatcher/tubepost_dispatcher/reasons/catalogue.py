"""All reasons in one table, and the answers that follow from them. Pure.

`REASONS` is data; `lookup` is total: what is not in the table is judged by its HTTP status, its text is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.acceptance import ACCEPTANCE_REASONS
from tubepost_dispatcher.reasons.apns import APNS_REASONS, DELIVERED
from tubepost_dispatcher.reasons.delivery import DELIVERY_REASONS
from tubepost_dispatcher.reasons.listener import LISTENER_REASONS
from tubepost_dispatcher.reasons.message import MESSAGE_REASONS
from tubepost_dispatcher.reasons.relay import RELAY_REASONS
from tubepost_dispatcher.reasons.requests import REQUEST_REASONS
from tubepost_dispatcher.reasons.spec import Action, ReasonSpec
from tubepost_dispatcher.reply import Reply, Taken
from tubepost_dispatcher.text import clean, hide_tokens

ALL: Final = (
    *APNS_REASONS,
    *DELIVERY_REASONS,
    *MESSAGE_REASONS,
    *ACCEPTANCE_REASONS,
    *LISTENER_REASONS,
    *RELAY_REASONS,
    *REQUEST_REASONS,
)

REASONS: Final[Mapping[str, ReasonSpec]] = MappingProxyType({spec.reason: spec for spec in ALL})
"""All rows by reason; no word is in two rows."""

MAX_REPLY_TEXT: Final = 400
"""Characters of a reply's text; a reply line has room for some more."""

MALFORMED: Final = 4
"""Legacy code of a message that has no usable push part ("missing payload", permanent)."""

_NO_ROUTES_FAULT = frozenset(
    {
        "Throttled",
        "Suspended",
        "ShuttingDown",
        "InternalError",
        "StreamReset",
        "Expired",
        "Dropped",
        "PolicyFailed",
        "DroppedByPolicy",
        "ReroutedByPolicy",
    }
)
# Another route may fare better at once; a repetition on this one would not.
_ROUTE_FAULTS = frozenset(
    {spec.reason for spec in APNS_REASONS if spec.action is Action.HOLD_ROUTE}
    | {"ServiceUnavailable", "InternalServerError", "Shutdown", "TooManyProviderTokenUpdates"}
    | {spec.reason for spec in DELIVERY_REASONS if spec.reason not in _NO_ROUTES_FAULT}
)

# What an unknown reason is like, by status. 408 and 421 are RFC 9110's.
_LIKE: Mapping[int, str] = MappingProxyType(
    {
        401: "Forbidden",
        403: "Forbidden",
        404: "BadPath",
        405: "MethodNotAllowed",
        407: "ProxyRefused",
        408: "ServiceUnavailable",
        410: "Unregistered",
        413: "PayloadTooLarge",
        421: "Shutdown",
        425: "ServiceUnavailable",
        429: "TooManyRequests",
        503: "ServiceUnavailable",
    }
)


def lookup(status: int, reason: str) -> ReasonSpec:
    """Return the row for an answer of APNs'; never fails, whatever came.

    A known reason keeps its meaning under another status of the same class. An unknown one is judged by its
    status; its text is kept, as `text.clean` leaves it. An empty one becomes `Status<n>`.
    """
    spec = REASONS.get(reason)
    if spec is not None and spec.status == status:
        return spec
    if status == DELIVERED.status:
        return DELIVERED
    if spec is not None and status > 0 and status // 100 == spec.status // 100:
        return replace(spec, status=status)
    like = REASONS.get(_LIKE.get(status, ""))
    if like is None:
        if 400 <= status < 500:
            like = REASONS["PayloadEmpty"]
        elif 500 <= status < 600:
            like = REASONS["InternalServerError"]
        else:
            like = REASONS["ProtocolError"]
    text = "Not in the table, judged by its status."
    return replace(
        like, status=status, reason=clean(reason) or f"Status{status}", help=text, remedy="", known=False
    )


def spec_of(outcome: Outcome) -> ReasonSpec:
    """The row of an outcome, whether APNs gave it or it was made here."""
    if outcome.kind is OutcomeKind.DELIVERED:
        return DELIVERED
    if not outcome.status and outcome.reason in REASONS:
        return REASONS[outcome.reason]
    spec = lookup(outcome.status, outcome.reason)
    return spec if spec.kind is outcome.kind else _reclassified(spec, outcome.kind)


def _reclassified(spec: ReasonSpec, kind: OutcomeKind) -> ReasonSpec:
    """A row as a policy sees it: for now what APNs says for good, or the reverse."""
    transient = kind is OutcomeKind.TRANSIENT
    code, digit = (451, "4") if transient else (554, "5")
    return replace(spec, kind=kind, smtp_code=code, enhanced=digit + spec.enhanced[1:], text="")


def refusal(reason: str, text: str = "") -> Reply:
    """The reply that refuses with one of `REASONS`.

    Args:
        reason: a word of the table.
        text: what to say; the row's own text by default. Foreign bytes go in by way of `text.printable` only.
            Device tokens come out in short form.

    Raises:
        KeyError: no such reason.
    """
    spec = REASONS[reason]
    return Reply(spec.smtp_code, spec.enhanced, hide_tokens(text)[:MAX_REPLY_TEXT] or spec.text, reason)


_reply_of: Final[Callable[[tuple[int, str, str, str, Taken]], Reply]] = partial(tuple.__new__, Reply)
"""As `Reply(...)`, at half of the cost: every message that is delivered has one."""
_DELIVERED: Final = (DELIVERED.smtp_code, DELIVERED.enhanced)


def outcome_reply(outcome: Outcome) -> Reply:
    """The reply that tells a waiting client what became of its notification."""
    if outcome.kind is OutcomeKind.DELIVERED:
        return _reply_of((*_DELIVERED, f"Delivered apns-id={outcome.apns_id}", "", "delivered"))
    spec = spec_of(outcome)
    if not outcome.status and outcome.kind is OutcomeKind.PERMANENT:
        # Found here, before APNs saw it: the detail says it all.
        return refusal(outcome.reason, outcome.detail)
    if spec.text:
        text = spec.text
    else:
        who = "APNs" if outcome.status else "Not delivered"
        text = f"{who}: {outcome.reason}" + (f" ({outcome.detail})" if outcome.detail else "")
    return Reply(spec.smtp_code, spec.enhanced, text[:MAX_REPLY_TEXT], spec.reason)


def legacy_code(reason: str) -> int:
    """Momentum's status code (`%S`) of a message that was refused before any attempt."""
    spec = REASONS.get(reason)
    return spec.legacy_code if spec else MALFORMED


def is_route_fault(reason: str) -> bool:
    """Tell whether the route is to blame, not the notification: a later route may take it at once."""
    return reason in _ROUTE_FAULTS


def permanent_outcome(reason: str, detail: str) -> Outcome:
    """Make the outcome of a notification that cannot be sent as it is; `detail` says why, for its sender."""
    return Outcome(OutcomeKind.PERMANENT, reason, detail=detail[:MAX_REPLY_TEXT])


def local_outcome(
    reason: str,
    detail: str = "",
    *,
    possible_double: bool = False,
    retry_at_once: bool = False,
    held_until: float = 0.0,
) -> Outcome:
    """Make the transient outcome of one of `DELIVERY_REASONS`."""
    return Outcome(
        OutcomeKind.TRANSIENT,
        reason,
        detail=clean(detail),
        possible_double=possible_double,
        retry_at_once=retry_at_once,
        held_until=held_until,
    )
