from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.operator.cases import applied, snapshot
from tests.operator.plan import moving
from tests.operator.plan.test_needs import pod, running
from tubepost_operator.actions import Scale
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Fight, Key, Repair
from tubepost_operator.plan.children import (
    ChildrenPlan,
    plan_children,
    rolled_out,
    upgrading,
    wanted_children,
)
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.plan.queue_pods import workload_body
from tubepost_operator.settings import ReleaseSettings
from tubepost_operator.snapshot import PushDomainSnapshot

DEPLOYMENT = Key("Deployment", "default", "alerts")
SERVICE = Key("Service", "default", "alerts")


def planned(seen: PushDomainSnapshot) -> ChildrenPlan:
    decision = decide(seen)
    assert decision.arranged is not None
    return plan_children(seen, decision.arranged, decision.manifests)


def with_child(seen: PushDomainSnapshot, key: Key, **meta: Any) -> PushDomainSnapshot:
    child = seen.children[key]
    changed = Child(replace(child.meta, **meta), child.body)
    return replace(seen, children={**seen.children, key: changed})


def new_release(seen: PushDomainSnapshot, *, may_upgrade: bool) -> PushDomainSnapshot:
    settings = replace(seen.settings, release=ReleaseSettings(image="new:1"))
    return replace(seen, settings=settings, may_upgrade=may_upgrade)


def test_a_network_policy_is_wanted_where_the_operator_writes_them() -> None:
    for name, there in (("first-publish", False), ("everything-in-the-spec", True)):
        arranged = decide(snapshot(name)).arranged
        assert arranged is not None
        settings = replace(arranged.source.settings, network_policies=there)
        arranged = replace(arranged, source=replace(arranged.source, settings=settings))
        assert ("NetworkPolicy" in {key.kind for key in wanted_children(arranged)}) is there


def test_what_is_missing_is_created_and_what_is_there_is_left() -> None:
    plan = planned(snapshot("first-publish"))
    assert all(apply.create for apply in plan.apply)
    assert plan.repaired == {}
    plan = planned(running())
    assert (plan.apply, plan.delete) == ([], [])
    assert len(plan.in_sync) == 5


def test_a_foreign_object_is_a_conflict_and_is_left_alone() -> None:
    plan = planned(with_child(running(), SERVICE, owner="other", owner_name=None))
    assert plan.conflicts == [SERVICE]
    assert SERVICE not in {apply.key for apply in plan.apply}


def test_an_object_of_a_deleted_push_domain_of_the_same_name_is_waited_for() -> None:
    seen = with_child(running(), SERVICE, owner="former", owner_name="PushDomain/alerts")
    assert planned(seen).leaving == [SERVICE]
    assert planned(with_child(running(), SERVICE, deleting=True)).leaving == [SERVICE]


def test_no_pods_run_with_a_foreign_config_map_or_account() -> None:
    for kind in ("ConfigMap", "ServiceAccount"):
        seen = running()
        key = next(key for key in seen.children if key.kind == kind)
        seen = with_child(seen, key, owner="other", owner_name=None)
        seen = replace(seen, children={name: child for name, child in seen.children.items() if name == key})
        assert "Deployment" not in {apply.key.kind for apply in planned(seen).apply}


def test_what_somebody_changed_is_applied_again() -> None:
    seen = running()
    body = seen.children[SERVICE].body
    assert body is not None
    changed = {**body, "spec": {**body["spec"], "selector": {}}}
    child = Child(seen.children[SERVICE].meta, changed)
    plan = planned(replace(seen, children={**seen.children, SERVICE: child}))
    assert (list(plan.repaired), [apply.key for apply in plan.apply]) == ([SERVICE], [SERVICE])


def test_what_was_rejected_is_not_applied_again_nor_anything_deleted() -> None:
    seen = replace(snapshot("first-publish"), rejected={SERVICE: "no"})
    plan = planned(seen)
    assert SERVICE not in {apply.key for apply in plan.apply}
    assert plan.delete == []


def test_a_new_release_waits_for_room_and_scales_meanwhile() -> None:
    waiting = planned(new_release(running(), may_upgrade=False))
    assert (waiting.upgrade, waiting.scale) == ("waiting", None)
    assert DEPLOYMENT not in {apply.key for apply in waiting.apply}
    rolling = planned(new_release(running(), may_upgrade=True))
    assert rolling.upgrade == "rolling"
    assert DEPLOYMENT in {apply.key for apply in rolling.apply}
    seen = new_release(running(), may_upgrade=False)
    spec = {**seen.document["spec"], "replicas": 3}
    scaled = planned(replace(seen, document={**seen.document, "spec": spec}))
    assert (scaled.upgrade, scaled.scale) == ("waiting", Scale(DEPLOYMENT, 3))


def test_an_old_config_map_stays_while_a_pod_mounts_it() -> None:
    old = Key("ConfigMap", "default", "alerts-old")
    seen = running()
    newest = next(child for key, child in seen.children.items() if key.kind == "ConfigMap")
    child = Child(replace(newest.meta, key=old), newest.body)
    seen = replace(seen, children={**seen.children, old: child})
    one = pod()
    mounting = replace(one, meta=replace(one.meta, annotations={Names.CONFIG_ANNOTATION: old.name}))
    assert planned(replace(seen, pods=(mounting,))).delete == []
    assert [meta.key for meta in planned(seen).delete] == [old]
    unfinished = applied(snapshot("first-publish"), {"updatedReplicas": 0})
    assert planned(replace(seen, children={**unfinished, old: child})).delete == []


def test_a_rollout_is_complete_when_all_replicas_are_of_the_template() -> None:
    assert rolled_out(running(), "Deployment")
    assert not rolled_out(running(available=0), "Deployment")
    assert not rolled_out(replace(running(), children={}), "Deployment")
    assert workload_body(with_child(running(), DEPLOYMENT, owner="other"), "Deployment") is None


def test_the_rollout_of_an_upgrade_is_known_by_pods_of_two_templates() -> None:
    before = snapshot("first-publish")
    seen = replace(before, children=applied(before, {"replicas": 2, "updatedReplicas": 1}))
    roll = seen.children[DEPLOYMENT].meta.annotations[Names.ROLL_ANNOTATION]
    one = pod()
    same = replace(one, meta=replace(one.meta, annotations={Names.ROLL_ANNOTATION: roll}))
    assert upgrading(replace(seen, pods=(same, same)), "Deployment")
    assert not upgrading(replace(seen, pods=(same, one)), "Deployment")
    assert not upgrading(running(same, same), "Deployment")


def of_the_kinds(seen: PushDomainSnapshot) -> dict[str, list[str]]:
    plan = planned(seen)
    return {
        "apply": [apply.key.kind for apply in plan.apply],
        "delete": [meta.key.kind for meta in plan.delete],
    }


def test_of_two_workloads_the_old_one_stays_until_it_may_go() -> None:
    begun = moving.wanting(moving.settled(moving.DIRECT), moving.CLAIM)
    assert of_the_kinds(begun) == {"apply": ["ConfigMap", "StatefulSet"], "delete": []}
    assert planned(begun).repaired == {}
    both = moving.wanting(
        moving.joined(moving.settled(moving.DIRECT), moving.settled(moving.CLAIM)), moving.CLAIM
    )
    assert "Deployment" not in of_the_kinds(moving.available(both, "StatefulSet", 0))["delete"]
    assert of_the_kinds(both)["delete"] == ["Deployment"]


def test_the_configuration_of_the_old_workload_stays_with_it() -> None:
    pods = (moving.pod("alerts-0", queue="Claim", queued=3),)
    both = moving.joined(moving.settled(moving.CLAIM, pods=pods), moving.settled(moving.DIRECT))
    seen = moving.wanting(both, moving.DIRECT)
    maps = [key for key in decide(seen).manifests if key.kind == "ConfigMap"]
    assert len(maps) == 2
    plan = planned(seen)
    # It is told to retire, and its pods do not count as disrupted; nothing else is touched.
    assert [(apply.key.kind, apply.key.name) for apply in plan.apply] == [
        ("ConfigMap", maps[1].name),
        ("PodDisruptionBudget", "alerts"),
    ]
    assert plan.delete == []


def test_claims_that_are_too_small_are_enlarged_and_others_left() -> None:
    size = {"queue": {"disk": {"claim": {"size": "4Gi", "storageClassName": "fast"}}}}
    seen = moving.wanting(moving.settled(moving.CLAIM, replicas=4), moving.CLAIM, size, replicas=4)
    seen = moving.claims(
        seen,
        moving.claim(0),
        moving.claim(1, size="4096Mi"),
        moving.claim(2, "Pending"),
        moving.claim(3, size="8Gi"),
    )
    (enlarge,) = planned(seen).enlarge
    assert (enlarge.key.name, enlarge.size) == ("queue-alerts-0", "4Gi")
    refused = replace(seen, rejected={enlarge.key: "the class does not support it"})
    assert planned(refused).enlarge == []
    assert planned(moving.wanting(seen, moving.EMPTY_DIR)).enlarge == []
    # The StatefulSet's own template of them cannot change, and does not.
    assert [apply.key.kind for apply in planned(seen).apply] == []


def test_a_claim_is_nobodys_orphan() -> None:
    seen = moving.claims(moving.settled(moving.CLAIM), moving.claim(0), moving.claim(7))
    assert planned(seen).delete == []


def test_in_a_fight_a_change_is_put_back_later() -> None:
    seen = running()
    body = seen.children[SERVICE].body
    assert body is not None
    child = Child(seen.children[SERVICE].meta, {**body, "spec": {**body["spec"], "type": "NodePort"}})
    fight = Fight(4, 30.0, 900.0, Repair(("spec.type",), "spec.type was changed"))
    seen = replace(seen, children={**seen.children, SERVICE: child}, fights={SERVICE: fight})
    plan = planned(seen)
    assert (plan.apply, plan.repaired, plan.contested) == ([], {}, {SERVICE: fight})
    assert planned(replace(seen, fights={SERVICE: replace(fight, wait=0.0)})).repaired.keys() == {SERVICE}
