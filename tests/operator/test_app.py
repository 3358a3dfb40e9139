from __future__ import annotations

from tests.operator.objects import push_domain, route
from tubepost_operator.app import expiries, object_counts
from tubepost_operator.store import Store


def test_objects_are_counted_by_condition() -> None:
    store = Store()
    conditions = [{"type": "Ready", "status": "True"}]
    for name in ("a", "b"):
        store.put({**push_domain(name), "status": {"conditions": conditions}})
    store.put(push_domain("new"))
    assert list(object_counts(store)) == [(("PushDomain", "Ready", "True"), 2.0)]


def test_ends_of_certificates_are_unix_times() -> None:
    store = Store()
    store.put({**route("a"), "status": {"notAfter": "1970-01-01T00:01:00Z"}})
    store.put({**route("b"), "status": {"notAfter": "whenever"}})
    store.put(route("c"))
    assert list(expiries(store)) == [(("default", "a"), 60.0)]
