from __future__ import annotations

from typing import Any

from tubepost_operator.metadata import is_newer, is_older, object_key, paused_text, push_domain_of, read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import Key


def document(**metadata: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "x", "namespace": "shop", "uid": "1", **metadata}}


def test_others_annotations_are_not_kept() -> None:
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": "a secret",
        "tubepost.io/refresh": "ab",
    }
    assert read_meta(document(annotations=annotations), "Pod").annotations == {"tubepost.io/refresh": "ab"}


def test_the_owner_is_the_controller() -> None:
    references = [
        {"kind": "Other", "name": "o", "uid": "7"},
        {"kind": "ReplicaSet", "name": "rs", "uid": "8", "controller": True},
    ]
    meta = read_meta(document(ownerReferences=references, deletionTimestamp="2026-01-01T00:00:00Z"), "Pod")
    assert (meta.owner, meta.owner_name, meta.deleting) == ("8", "ReplicaSet/rs", True)
    assert meta.co_owners == ("7",)
    alone = read_meta(document(), "Pod")
    assert (alone.owner, alone.owner_name, alone.deleting) == (None, None, False)
    assert alone.co_owners == ()


def test_which_push_domain_a_pod_belongs_to() -> None:
    for label in (Names.PUSH_DOMAIN_LABEL, Names.INJECT_LABEL):
        assert push_domain_of(read_meta(document(labels={label: "alerts"}), "Pod")) == "alerts"
    assert push_domain_of(read_meta(document(), "Pod")) == ""


def test_keys() -> None:
    assert object_key(document()) == Key("Pod", "shop", "x")


def test_what_the_annotation_says_that_stops_writing() -> None:
    assert paused_text({}) is None
    assert paused_text({"annotations": None}) is None
    assert paused_text({"annotations": {Names.PAUSED_ANNOTATION: "true"}}) == "true"


def test_a_watch_tells_later_than_the_answer_to_a_write() -> None:
    def at(version: str | None, uid: str = "a") -> dict[str, Any]:
        return {"metadata": {"uid": uid, "resourceVersion": version}}

    assert is_older(at("9"), at("10"))
    assert not is_older(at("10"), at("9"))
    assert not is_older(at("9", "b"), at("10")), "another object of the same name"
    assert is_newer("10", "9")
    assert not is_newer(None, "9")
    assert not is_newer("opaque", "other")
