from __future__ import annotations

from tests.operator.objects import push_domain, route, secret
from tubepost_api.compile import compile_manifests
from tubepost_api.digest import bundle_digest
from tubepost_api.problems import Manifest
from tubepost_dispatcher.config.bundle import ConfigBundle


def test_operator_and_dispatcher_call_the_same_thing_by_the_same_hash() -> None:
    compiled = compile_manifests([Manifest("x", 0, document) for document in (push_domain(), route())])
    assert compiled.config is not None
    for contents in (
        {},
        {"cert": {}},
        {"cert": secret().data},
        {"cert": secret().data, "other": {"a": b"b"}},
    ):
        assert bundle_digest(compiled.config, contents) == ConfigBundle(compiled.config, contents).digest()
    later = compiled.config.model_copy(update={"generation": 7})
    assert bundle_digest(later, {}) == bundle_digest(compiled.config, {})
