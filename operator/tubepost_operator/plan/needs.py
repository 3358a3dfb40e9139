"""What has to be read before something can be decided: names of objects, lists and metrics. Pure.

Each function is asked again with what was read, until it names nothing more. It never names what was read
already.
"""

from __future__ import annotations

from tubepost_operator.kinds import READ_IN_FULL
from tubepost_operator.names import Names
from tubepost_operator.observed import Hooks, Key, LastEvent, Need, PodList, PodMetrics
from tubepost_operator.plan.drift import applied, trial
from tubepost_operator.plan.push_domain import Decision
from tubepost_operator.plan.queue_pods import claim_key, workload_body
from tubepost_operator.plan.workloads import SHOWN_CLAIMS, unbound
from tubepost_operator.snapshot import PushDomainSnapshot, Snapshot


def for_status(seen: Snapshot) -> tuple[Need, ...]:
    """What the plan of an ApnRoute or ApnLogger is made from."""
    return _unread_secrets(seen)


def for_decision(seen: PushDomainSnapshot) -> tuple[Need, ...]:
    """What it takes to decide what a PushDomain is to serve: Secrets, hooks, the children there are."""
    children = (
        key
        for key, child in seen.children.items()
        if child.body is None and (key.kind in READ_IN_FULL or not child.in_sync)
    )
    hooks = (Hooks(seen.namespace, name) for name in seen.unread_config_maps)
    return (*_unread_secrets(seen), *hooks, *children)


def for_plan(seen: PushDomainSnapshot, decision: Decision) -> tuple[Need, ...]:
    """What it takes to plan, once that is decided: whether names are free, and what the pods run."""
    wanted = (*decision.manifests, *_claims(seen, decision))
    unknown = tuple(key for key in wanted if key not in seen.children and key not in seen.read)
    return unknown or _trials(seen, decision) or _of_claims(seen, decision) or _of_pods(seen, decision)


def _of_claims(seen: PushDomainSnapshot, decision: Decision) -> tuple[Need, ...]:
    """Why claims have no volume where pods wait for them, and why a StatefulSet makes no pods."""
    if decision.kind != "StatefulSet" or not _degraded(seen, decision):
        return ()
    wanted = [LastEvent(key) for key in sorted(unbound(seen))[:SHOWN_CLAIMS]]
    body = workload_body(seen, "StatefulSet") or {}
    if (body.get("status") or {}).get("replicas", 0) < body.get("spec", {}).get("replicas", 1):
        # A StatefulSet has no condition for pods that are refused: it is told by an event alone.
        wanted.append(LastEvent(Key("StatefulSet", seen.namespace, seen.name)))
    return tuple(item for item in wanted if item not in seen.read)


def _trials(seen: PushDomainSnapshot, decision: Decision) -> tuple[Need, ...]:
    """Where a value is not as we wrote it: whether the API server itself would make it so."""
    wanted = []
    for key, manifest in decision.manifests.items():
        child = seen.children.get(key)
        if child is None or child.meta.owner != seen.uid or child.meta.deleting:
            continue
        if child.meta.annotations.get(Names.APPLIED_ANNOTATION) == applied(manifest):
            question = trial(key, child, manifest)
            if question is not None and question not in seen.read:
                wanted.append(question)
    return tuple(wanted)


def _claims(seen: PushDomainSnapshot, decision: Decision) -> tuple[Key, ...]:
    """Claims of pods that are waited for: those without a volume have nothing in them."""
    waiting = decision.arranged.settlement.draining if decision.arranged is not None else ()
    return tuple(claim_key(seen, pod.ordinal) for pod in waiting if pod.ordinal is not None)


def _unread_secrets(seen: Snapshot) -> tuple[Need, ...]:
    return tuple(Key("Secret", seen.namespace, name) for name in seen.unread_secrets)


def _of_pods(seen: PushDomainSnapshot, decision: Decision) -> tuple[Need, ...]:
    """States of pods where those may matter, then metrics of those not known to run the configuration.

    And of those whose queue is waited for: they are not ready, since they serve no more.
    """
    push_domain = Key("PushDomain", seen.namespace, seen.name)
    draining = [*(pod for pod in seen.pods if decision.waits_for(pod)), *seen.drains]
    asked = [
        *draining,
        *(
            pod
            for pod in seen.pods
            if not pod.meta.deleting
            and pod not in draining
            and (pod.last_report is None or pod.last_report.digest != decision.digest)
        ),
    ]
    # Why a pod does not run is not in its metadata, nor whether others serve in its place.
    every = (*seen.pods, *seen.drains)
    if any(pod.stale for pod in (every if draining or _degraded(seen, decision) else asked)):
        selectors = [f"{Names.CHILD_SELECTOR},{Names.PUSH_DOMAIN_LABEL}={seen.name}"]
        if any(pod.sidecar for pod in seen.pods):
            selectors.append(f"{Names.INJECT_LABEL}={seen.name}")
        lists = [PodList(push_domain, selector) for selector in selectors]
        unread = tuple(item for item in lists if item not in seen.read)
        if unread:
            return unread
    metrics = (
        PodMetrics(push_domain, pod.meta.uid, pod.url)
        for pod in asked
        if (pod.ready or pod in draining) and pod.url
    )
    return tuple(item for item in metrics if item not in seen.read)


def _degraded(seen: PushDomainSnapshot, decision: Decision) -> bool:
    """Whether fewer replicas are available than there ought to be."""
    body = workload_body(seen, decision.kind)
    if body is None:
        return False
    available: int = (body.get("status") or {}).get("availableReplicas", 0)
    return available < int(body["spec"].get("replicas", 1))
