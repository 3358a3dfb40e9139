"""The condition about reports to senders: whether there is a relay where they need one."""

from __future__ import annotations

from collections.abc import Iterator

from tubepost_api.bounces import merged
from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.config import AcceptanceMode, AcceptanceOverflow
from tubepost_api.pushdomain import PushDomainSpec
from tubepost_operator.conditions import PlannedCondition, bad, good
from tubepost_runtime.addresses import with_port

_SHOWN = 5
"""Domains that a message names."""


def bounce_conditions(spec: PushDomainSpec | None) -> Iterator[PlannedCondition]:
    """BouncesDeliverable, where senders are to get reports by mail. Ready is not about it."""
    if spec is None:
        return
    acceptance = spec.acceptance
    queued = acceptance.mode == AcceptanceMode.QUEUED or acceptance.overflow == AcceptanceOverflow.QUEUE
    concerned = []
    for entry in spec.domains:
        options = merged(spec.bounces, entry.bounces)
        if options.enabled and (queued or options.direct == "Mail"):
            concerned.append(entry.name or entry.pattern or "")
    if not concerned:
        return
    relay = spec.bounces.relay
    if relay is not None:
        address = with_port(relay.host, relay.port)
        yield good(ConditionType.BOUNCES_DELIVERABLE, Reason.RELAYED, f"Reports go to the relay {address}.")
        return
    whom = ", ".join(concerned[:_SHOWN]) + (", ..." if len(concerned) > _SHOWN else "")
    instead = (
        "what fails after it was acknowledged is logged and counted only"
        if queued
        else "the answer to DATA is the 5xx, whatever bounces.direct says"
    )
    yield bad(
        ConditionType.BOUNCES_DELIVERABLE,
        Reason.NO_RELAY,
        f"There is no relay for reports to senders to {whom}: {instead}. Remedy: set spec.bounces.relay, or "
        f"{'spec.bounces.enabled: false' if queued else 'spec.bounces.direct: Reply'}.",
    )
