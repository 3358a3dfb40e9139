"""Live facts -> the condition Delivering, of a PushDomain and of an ApnRoute. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.config import AcceptanceMode, DeliveryMode, DispatcherConfig
from tubepost_operator.conditions import PlannedCondition, bad, good, unknown
from tubepost_operator.observed import LiveStatus
from tubepost_operator.plan.select import Selection
from tubepost_operator.plan.suspended import suspended_text
from tubepost_operator.snapshot import PushDomainSnapshot

_DELIVERING = ConditionType.DELIVERING

_NETWORK: Final = (
    "check name resolution, network policies, firewalls and proxies between the dispatchers and APNs (TCP "
    "443, or the port of spec.endpoint)"
)
_REMEDIES: Final[Mapping[str, str]] = {
    "ConnectFailed": _NETWORK,
    "ConnectTimeout": _NETWORK,
    "ResponseTimeout": _NETWORK,
    "ConnectionLost": _NETWORK,
    "TlsFailed": "check spec.tls of the ApnRoute, and what stands between the dispatchers and APNs",
    "CertificateVerifyFailed": "check spec.tls of the ApnRoute: the authority and the name of the server",
    "ProxyRefused": "check spec.proxy of the ApnRoute",
    "ServiceUnavailable": "none here: APNs is not available, and attempts go on",
    "InternalServerError": "none here: it is a fault of APNs, and attempts go on",
    "Shutdown": "none here: APNs closes its connections, and attempts go on",
}
"""Reason of a dispatcher (docs/reference/outcomes.md) -> what to do."""
_ANY: Final = "see the log of the pods, and docs/reference/outcomes.md"


def delivering(snapshot: PushDomainSnapshot, selection: Selection, replicas: int) -> PlannedCondition:
    """Whether notifications of a PushDomain are delivered to APNs."""
    config = _config(selection)
    if config is None:
        return unknown(_DELIVERING, Reason.PENDING, "Nothing is deployed yet.")
    modes = {entry.delivery.mode for entry in config.entries}
    if DeliveryMode.DELIVER not in modes:
        if DeliveryMode.SUSPEND in modes:
            queued = config.acceptance.mode is AcceptanceMode.QUEUED
            what = "Messages stay in the queue" if queued else "Messages are answered 451"
            why = suspended_text(snapshot.document, snapshot.now)
            return bad(_DELIVERING, Reason.SUSPENDED, f"{what}: {why}.")
        if DeliveryMode.BLACKHOLE in modes:
            return bad(_DELIVERING, Reason.BLACKHOLED, "Messages are discarded: delivery.mode is Blackhole.")
        return bad(_DELIVERING, Reason.REFUSED, "Messages are answered 550: delivery.mode is Refuse.")
    if replicas == 0:
        return unknown(_DELIVERING, Reason.NO_REPLICAS, "spec.replicas is 0.")
    reports = [pod.report for pod in snapshot.pods if pod.report is not None and pod.report.digest]
    if not reports:
        return unknown(_DELIVERING, Reason.PENDING, "No pod has answered yet.")
    live = snapshot.live
    reasons = live.reasons if live is not None else {}
    held = sorted({route for report in reports for route in report.held})
    if held:
        return bad(
            _DELIVERING,
            Reason.ROUTE_HELD,
            f"Requests by ApnRoute {', '.join(held)} are held: APNs refuses the credential or cannot be "
            f"reached{_last(held, reasons)}. Remedy: {_remedy(held, reasons)}.",
        )
    failing = [name for name in (live.failing if live is not None else ()) if name in config.routes]
    if failing:
        return bad(_DELIVERING, Reason.ROUTE_FAILS, _fails(failing, reasons))
    return good(_DELIVERING, Reason.DELIVERING, "No route is held, and none fails with every attempt.")


def route_delivering(name: str, users: Collection[str], lives: Mapping[str, LiveStatus]) -> PlannedCondition:
    """Whether APNs takes notifications by a route.

    Args:
        name: of the ApnRoute.
        users: names of the PushDomains that use it.
        lives: what their dispatchers say, by name.
    """
    if not users:
        return unknown(_DELIVERING, Reason.NOT_USED, Reason.NOT_USED.meaning)
    told = {user: lives[user] for user in sorted(users) if user in lives}
    held = [user for user, live in told.items() if name in live.held]
    if held:
        reasons = told[held[0]].reasons
        return bad(
            _DELIVERING,
            Reason.ROUTE_HELD,
            f"It takes no requests in the dispatchers of PushDomain {', '.join(held)}: APNs refuses the "
            f"credential or cannot be reached{_last([name], reasons)}. Remedy: {_remedy([name], reasons)}.",
        )
    failing = [user for user, live in told.items() if name in live.failing]
    if failing:
        text = _fails([name], told[failing[0]].reasons)
        return bad(_DELIVERING, Reason.ROUTE_FAILS, f"PushDomain {', '.join(failing)}: {text}")
    if not told:
        return unknown(_DELIVERING, Reason.PENDING, "No pod has answered yet.")
    return good(_DELIVERING, Reason.DELIVERING, "It is not held, and does not fail with every attempt.")


def _config(selection: Selection) -> DispatcherConfig | None:
    if selection.source is not None:
        return selection.source.config
    return selection.published.config if selection.published is not None else None


def _fails(names: Sequence[str], reasons: Mapping[str, str]) -> str:
    return (
        f"Nothing is delivered by ApnRoute {', '.join(names)}, every attempt fails{_last(names, reasons)}. "
        f"Remedy: {_remedy(names, reasons)}."
    )


def _last(names: Sequence[str], reasons: Mapping[str, str]) -> str:
    found = sorted({reasons[name] for name in names if name in reasons})
    return f", at last with {', '.join(found)}" if found else ""


def _remedy(names: Sequence[str], reasons: Mapping[str, str]) -> str:
    return next((_REMEDIES[reasons[name]] for name in names if reasons.get(name) in _REMEDIES), _ANY)
