from __future__ import annotations

from tests.operator.resources.sources import source
from tubepost_operator.names import Names
from tubepost_operator.resources.common import child, digest, without_none


def test_a_child_says_whose_it_is_and_what_was_applied() -> None:
    manifest = child(source(), "Service", {"spec": {"type": "ClusterIP"}})
    assert (manifest["apiVersion"], manifest["kind"]) == ("v1", "Service")
    metadata = manifest["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (source().name, source().namespace)
    (owner,) = metadata["ownerReferences"]
    assert owner["uid"] == source().document["metadata"]["uid"]
    assert owner["controller"]
    other = child(source(), "Service", {"spec": {"type": "NodePort"}})
    assert (
        metadata["annotations"][Names.APPLIED_ANNOTATION]
        != other["metadata"]["annotations"][Names.APPLIED_ANNOTATION]
    )


def test_equal_values_have_equal_digests() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({})) == 16


def test_what_is_not_set_is_left_out() -> None:
    assert without_none({"a": None, "b": {}, "c": [], "d": 0, "e": False, "f": ""}) == {
        "d": 0,
        "e": False,
        "f": "",
    }
