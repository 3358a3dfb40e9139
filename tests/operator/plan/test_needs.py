from __future__ import annotations

from dataclasses import replace

from tests.operator.cases import snapshot
from tubepost_operator.observed import Child, Key, PodList, PodMetrics
from tubepost_operator.plan import needs
from tubepost_operator.plan.push_domain import decide


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
