from __future__ import annotations

from tests.operator.objects import push_domain, route
from tubepost_operator.app import expiries, object_counts
from tubepost_operator.cache import Cache


def test_objects_are_counted_by_condition() -> None:
    cache = Cache()
    conditions = [{"type": "Ready", "status": "True"}]
    for name in ("a", "b"):
        cache.put({**push_domain(name), "status": {"conditions": conditions}})
    cache.put(push_domain("new"))
    assert list(object_counts(cache)) == [(("PushDomain", "Ready", "True"), 2.0)]


def test_ends_of_certificates_are_unix_times() -> None:
    cache = Cache()
    cache.put({**route("a"), "status": {"notAfter": "1970-01-01T00:01:00Z"}})
    cache.put({**route("b"), "status": {"notAfter": "whenever"}})
    cache.put(route("c"))
    assert list(expiries(cache)) == [(("default", "a"), 60.0)]
