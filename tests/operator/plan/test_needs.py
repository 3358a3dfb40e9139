from __future__ import annotations

from dataclasses import replace

from tests.operator.cases import applied, snapshot
from tests.operator.plan import moving
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, LastEvent, Meta, Pod, PodList, PodMetrics, PodReport
from tubepost_operator.plan import needs
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.snapshot import PushDomainSnapshot

OWNER = Key("PushDomain", "default", "alerts")
LIST = PodList(OWNER, f"{Names.CHILD_SELECTOR},{Names.PUSH_DOMAIN_LABEL}=alerts")
URL = "http://10.0.0.1:9090/metrics"


def pod(**fields: object) -> Pod:
    key = Key("Pod", "default", "alerts-1")
    meta = Meta(key, "uid-1", "1", 0, {}, {}, None, None, "", deleting=False)
    return replace(Pod(meta, ready=True, url=URL), **fields)  # type: ignore[arg-type]  # any field of a Pod


def running(*pods: Pod, available: int = 1) -> PushDomainSnapshot:
    before = snapshot("first-publish")
    return replace(before, children=applied(before, {"availableReplicas": available}), pods=pods)


def test_secrets_that_have_not_been_read_come_first() -> None:
    seen = replace(snapshot("nothing-to-do"), unread_secrets=("a", "b"))
    assert needs.for_status(seen) == (Key("Secret", "default", "a"), Key("Secret", "default", "b"))
    assert needs.for_decision(seen)[:2] == needs.for_status(seen)


def test_a_child_is_read_only_where_its_body_is_needed() -> None:
    seen = snapshot("nothing-to-do")
    assert needs.for_decision(seen) == ()
    bare = {key: Child(child.meta, None) for key, child in seen.children.items()}
    wanted = needs.for_decision(replace(seen, children=bare))
    assert Key("Deployment", "default", "alerts") in wanted
    assert set(wanted) <= seen.children.keys()


def test_names_of_children_are_looked_up_once() -> None:
    seen = snapshot("first-publish")
    decision = decide(seen)
    wanted = needs.for_plan(seen, decision)
    assert set(wanted) == decision.manifests.keys()
    after = seen.with_read(dict.fromkeys(wanted))
    assert all(not isinstance(need, Key) for need in needs.for_plan(after, decision))


def test_pods_that_are_not_known_to_run_the_configuration_are_asked() -> None:
    seen = snapshot("nothing-to-do")
    decision = decide(seen)
    assert needs.for_plan(seen, decision) == ()
    pod = replace(seen.pods[0], last_report=None, url="http://192.0.2.1:9090/metrics", ready=True)
    asked = replace(seen, pods=(pod, *seen.pods[1:]))
    wanted = needs.for_plan(asked, decision)
    while wanted and all(isinstance(need, PodList) for need in wanted):
        asked = asked.with_read(dict.fromkeys(wanted, asked.pods))
        wanted = needs.for_plan(asked, decision)
    assert [need.uid for need in wanted if isinstance(need, PodMetrics)] == [pod.meta.uid]
    assert needs.for_plan(asked.with_read(dict.fromkeys(wanted, asked.pods)), decision) == ()


def test_a_decision_needs_secrets_and_the_contents_that_are_not_known() -> None:
    seen = replace(snapshot("first-publish"), unread_secrets=("cert",))
    assert needs.for_status(seen) == (Key("Secret", "default", "cert"),)
    children = applied(seen, None)
    bare = {key: Child(child.meta, in_sync=True) for key, child in children.items()}
    seen = replace(seen, children=bare)
    assert {key.kind for key in needs.for_decision(seen) if isinstance(key, Key)} == {
        "Secret",
        "ConfigMap",
        "Deployment",
    }
    changed = {key: Child(child.meta) for key, child in children.items()}
    assert set(needs.for_decision(replace(seen, children=changed))) == {
        Key("Secret", "default", "cert"),
        *children,
    }
    assert needs.for_decision(replace(seen, children=children, unread_secrets=())) == ()


def test_without_anything_to_serve_no_name_is_needed() -> None:
    seen = replace(snapshot("first-publish"), routes={})
    assert needs.for_plan(seen, decide(seen)) == ()


def test_a_pod_is_asked_until_it_runs_the_configuration() -> None:
    seen = running(pod())
    decision = decide(seen)
    metrics = PodMetrics(OWNER, "uid-1", URL)
    assert needs.for_plan(seen, decision) == (metrics,)
    assert needs.for_plan(replace(seen, read=frozenset({metrics})), decision) == ()
    for report, wanted in ((PodReport("another"), (metrics,)), (PodReport(decision.digest), ())):
        assert needs.for_plan(running(pod(last_report=report)), decision) == wanted


def test_a_pod_that_has_changed_is_listed_first() -> None:
    seen = running(pod(stale=True))
    decision = decide(seen)
    assert needs.for_plan(seen, decision) == (LIST,)
    # The list may be newer or older than what the watch has told: once is enough.
    assert needs.for_plan(replace(seen, read=frozenset({LIST})), decision) == (
        PodMetrics(OWNER, "uid-1", URL),
    )
    confirmed = pod(stale=True, last_report=PodReport(decision.digest))
    assert needs.for_plan(running(confirmed), decision) == ()
    # Why a replica is missing is to be said.
    assert needs.for_plan(running(confirmed, available=0), decision) == (LIST,)


def test_pods_with_sidecars_are_a_list_of_their_own() -> None:
    seen = running(pod(stale=True, sidecar=True))
    assert needs.for_plan(seen, decide(seen)) == (LIST, PodList(OWNER, f"{Names.INJECT_LABEL}=alerts"))


def test_pods_that_go_or_are_not_ready_are_not_asked() -> None:
    going = pod()
    going = replace(going, meta=replace(going.meta, deleting=True))
    for one in (going, pod(ready=False), pod(url=None)):
        seen = running(one)
        assert needs.for_plan(seen, decide(seen)) == ()


def test_pods_whose_queue_is_waited_for_are_asked_though_they_are_not_ready() -> None:
    one = moving.pod("alerts-0", queue="Claim", queued=3, stale=True)
    both = moving.joined(moving.settled(moving.CLAIM, pods=(one,)), moving.settled(moving.DIRECT))
    seen = replace(moving.wanting(both, moving.DIRECT), read=frozenset())
    decision = decide(seen)
    claim = Key("PersistentVolumeClaim", "default", "queue-alerts-0")
    assert claim in needs.for_plan(seen, decision)
    seen = seen.with_read({claim: None, **dict.fromkeys(needs.for_plan(seen, decision))})
    assert needs.for_plan(seen, decision) == (LIST,)
    seen = replace(seen, read=seen.read | {LIST})
    wanted = needs.for_plan(seen, decision)
    assert PodMetrics(OWNER, "uid-alerts-0", "http://alerts-0/metrics") in wanted
    assert needs.for_plan(replace(seen, read=seen.read | set(wanted)), decision) == ()


def test_claims_are_read_in_full() -> None:
    seen = moving.claims(moving.settled(moving.CLAIM), Child(moving.claim(0).meta))
    assert needs.for_decision(seen) == (Key("PersistentVolumeClaim", "default", "queue-alerts-0"),)


def test_why_a_claim_has_no_volume_is_asked_where_pods_wait_for_it() -> None:
    pending = moving.claims(moving.settled(moving.CLAIM), moving.claim(0, "Pending"))
    event = LastEvent(Key("PersistentVolumeClaim", "default", "queue-alerts-0"))
    seen = moving.available(pending, "StatefulSet", 0)
    assert needs.for_plan(seen, decide(seen)) == (event,)
    assert needs.for_plan(seen.with_read({event: "why"}), decide(seen)) == ()
    assert needs.for_plan(pending, decide(pending)) == ()


def test_why_a_stateful_set_makes_no_pods_is_asked() -> None:
    seen = moving.available(moving.settled(moving.CLAIM), "StatefulSet", 0)
    key = Key("StatefulSet", "default", "alerts")
    body = dict(seen.children[key].body or {})
    body["status"] = {**body["status"], "replicas": 0}
    children = {**seen.children, key: replace(seen.children[key], body=body)}
    refused = replace(seen, children=children)
    assert LastEvent(key) in needs.for_plan(refused, decide(refused))
    assert LastEvent(key) not in needs.for_plan(seen, decide(seen))
