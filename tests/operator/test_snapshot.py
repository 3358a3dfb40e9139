from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tests.operator.objects import push_domain, route, secret
from tests.operator.plan.test_needs import pod
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, Meta, PodList
from tubepost_operator.settings import Settings
from tubepost_operator.snapshot import PushDomainSnapshot, ReferencedSnapshot, drains

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = Key("Secret", "default", "cert")
SERVICE = Key("Service", "default", "alerts")


def test_it_knows_whose_it_is() -> None:
    seen = ReferencedSnapshot(now=NOW, document=route())
    assert (seen.name, seen.namespace, seen.uid, seen.generation) == ("apns", "default", "uid-apns", 1)


def test_what_was_read_is_in_the_next_snapshot() -> None:
    before = PushDomainSnapshot(
        now=NOW, document=push_domain(), settings=Settings(), unread_secrets=("cert", "gone")
    )
    child = Child(Meta(SERVICE, "uid", "1", 0, {}, {}, None, None, "", deleting=False), {"spec": {}})
    pods = PodList(Key("PushDomain", "default", "alerts"), "selector")
    gone = Key("Secret", "default", "gone")
    after = before.with_read({SECRET: secret(), gone: None, SERVICE: child, pods: (pod(),)})
    assert set(after.secrets) == {"cert"}
    assert (after.unread_secrets, after.children, after.pods) == ((), {SERVICE: child}, (pod(),))
    assert after.read == {SECRET, gone, SERVICE, pods}
    assert before.read == frozenset()
    assert after.with_read({SERVICE: None}).children == {}


def test_pods_that_empty_claims_are_not_among_those_that_serve() -> None:
    one = pod()
    drain = replace(one, meta=replace(one.meta, labels={Names.DRAIN_LABEL: "2"}))
    assert (drains(one), drains(drain)) == (False, True)
    before = PushDomainSnapshot(now=NOW, document=push_domain(), settings=Settings())
    found = before.with_read({PodList(Key("PushDomain", "default", "alerts"), "selector"): (one, drain)})
    assert (found.pods, found.drains) == ((one,), (drain,))
    assert found.with_read({SERVICE: None}).drains == (drain,)
