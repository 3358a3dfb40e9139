from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.operator.cases import applied, snapshot
from tests.operator.plan.test_needs import pod, running
from tubepost_api.conditions import Reason
from tubepost_operator.actions import Plan
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Pod, PodReport
from tubepost_operator.plan.push_domain import REFRESH_AGAIN, SETTLING, decide, plan_push_domain
from tubepost_operator.snapshot import PushDomainSnapshot


def condition(plan: Plan, kind: str) -> tuple[str, str]:
    assert plan.status is not None
    found = next(item for item in plan.status["conditions"] if item["type"] == kind)
    return found["status"], found["reason"]


def refreshed(one: Pod, text: str) -> Pod:
    return replace(one, meta=replace(one.meta, annotations={Names.REFRESH_ANNOTATION: text}))


def settled(**fields: Any) -> PushDomainSnapshot:
    """One replica that runs what is published, and the status that says so."""
    seen = running(pod())
    digest = decide(seen).digest
    seen = replace(seen, pods=(refreshed(pod(last_report=PodReport(digest)), digest),))
    status = plan_push_domain(seen).status
    document = {**seen.document, "status": status}
    return replace(seen, document=document, **fields)


def edited(seen: PushDomainSnapshot) -> PushDomainSnapshot:
    """After an edit that reloads: the ConfigMap is written, the pod is annotated, and does not run it yet."""
    spec = {**seen.document["spec"], "delivery": {"expiry": "2h"}}
    document: Document = {**seen.document, "spec": spec}
    changed = replace(seen, document=document)
    changed = replace(changed, children=applied(changed, None))
    return replace(changed, pods=tuple(refreshed(one, decide(changed).digest) for one in changed.pods))


def test_a_decision_has_the_manifests_in_the_order_in_which_they_are_applied() -> None:
    decision = decide(snapshot("first-publish"))
    assert [key.kind for key in decision.manifests] == [
        "ConfigMap",
        "ServiceAccount",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
    ]
    assert decision.digest
    nothing = decide(replace(snapshot("first-publish"), routes={}))
    assert (dict(nothing.manifests), nothing.digest) == ({}, "")


def test_an_object_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    seen = snapshot("first-publish")
    metadata = {**seen.document["metadata"], "deletionTimestamp": "2026-11-23T12:00:00Z"}
    assert plan_push_domain(replace(seen, document={**seen.document, "metadata": metadata})) == Plan()


def test_what_is_settled_needs_no_write() -> None:
    plan = plan_push_domain(settled())
    assert not plan.writes
    assert len(plan.in_sync) == 5


@pytest.mark.parametrize(
    ("one", "awaited"),
    [
        (pod(last_report=PodReport("another")), True),
        (pod(last_report=PodReport("another"), sidecar=True), False),
        (pod(last_report=PodReport("another"), ready=False), False),
        (pod(last_report=PodReport(None)), False),
        (pod(), False),
    ],
)
def test_pods_that_run_something_else_are_waited_for(one: Pod, awaited: bool) -> None:
    decision = decide(snapshot("first-publish"))
    assert decision.awaited([one]) is awaited
    assert not decision.awaited([pod(last_report=PodReport(decision.digest))])


def test_the_status_is_kept_while_pods_load_the_configuration() -> None:
    seen = edited(settled())
    early = plan_push_domain(replace(seen, unconfirmed_for=SETTLING - 1))
    assert (early.status, early.again) == (None, 0.5)
    late = plan_push_domain(replace(seen, unconfirmed_for=SETTLING))
    assert condition(late, "Programmed") == ("False", Reason.PENDING)


def test_pods_that_do_not_confirm_are_annotated_again() -> None:
    seen = edited(settled())
    digest = decide(seen).digest
    assert plan_push_domain(replace(seen, unconfirmed_for=1.0)).refresh == ()
    for number, after in enumerate(REFRESH_AGAIN, start=1):
        (refresh,) = plan_push_domain(replace(seen, unconfirmed_for=after)).refresh
        assert refresh.digest == f"{digest}.{number}"
    refusing = PodReport("another", refused=True, refused_digest=digest)
    seen = replace(seen, pods=tuple(replace(one, last_report=refusing) for one in seen.pods))
    assert plan_push_domain(replace(seen, unconfirmed_for=after)).refresh == ()


def test_pods_are_annotated_after_the_config_map_not_with_it() -> None:
    seen = settled()
    spec = {**seen.document["spec"], "delivery": {"expiry": "2h"}}
    plan = plan_push_domain(replace(seen, document={**seen.document, "spec": spec}))
    assert [apply.key.kind for apply in plan.apply] == ["ConfigMap"]
    assert plan.refresh == ()
    assert plan.again is not None
    assert plan.again < 1


def test_a_route_s_certificate_brings_the_next_reconcile() -> None:
    seen = settled()
    decision = decide(seen)
    (ends,) = (moment for moment in decision.candidate.validity_changes if moment > seen.now)
    again = plan_push_domain(seen).again
    assert again == (ends - seen.now).total_seconds() + 1.0
