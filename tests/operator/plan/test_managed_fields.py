from __future__ import annotations

from typing import Any

import pytest

from tubepost_operator.names import Names
from tubepost_operator.plan.managed_fields import additions, place_name, pointer_text, writer

Document = dict[str, Any]


def live(fields: Document, *, manager: str = "kubectl-edit", subresource: str = "", **body: Any) -> Document:
    """An object with fields that a manager owns."""
    entry = {"manager": manager, "operation": "Update", "fieldsV1": fields}
    if subresource:
        entry["subresource"] = subresource
    ours = {"manager": Names.FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    return {"metadata": {"managedFields": [ours, entry]}, **body}


def removed(before: Document, wanted: Document) -> list[str]:
    return [pointer_text(place) for place in additions(before, wanted)]


SERVICE: Document = {
    "kind": "Service",
    "spec": {"selector": {"app": "a"}, "ports": [{"name": "smtp", "port": 25, "protocol": "TCP"}]},
}
DEPLOYMENT: Document = {
    "kind": "Deployment",
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A"}]}]}}},
}


def test_a_key_more_in_a_map_that_is_owned_as_a_whole() -> None:
    before = live({"f:spec": {"f:selector": {}}}, spec={"selector": {"app": "a", "tier": "x"}})
    assert removed(before, SERVICE) == ["/spec/selector/tier"]


def test_a_field_that_we_do_not_set() -> None:
    before = live({"f:spec": {"f:paused": {}, "f:replicas": {}}}, spec={"paused": True, "replicas": 1})
    assert removed(before, DEPLOYMENT) == ["/spec/paused"]


def test_list_items_more_later_ones_first() -> None:
    keys = [f'k:{{"port":{port},"protocol":"TCP"}}' for port in (25, 26, 27)]
    ports = [{"port": port, "protocol": "TCP"} for port in (26, 25, 27)]
    before = live(
        {"f:spec": {"f:ports": {key: {".": {}, "f:port": {}} for key in keys}}}, spec={"ports": ports}
    )
    assert removed(before, SERVICE) == ["/spec/ports/2", "/spec/ports/0"]


def test_deep_in_a_template() -> None:
    env = {'k:{"name":"A"}': {"f:value": {}}, 'k:{"name":"B"}': {".": {}, "f:value": {}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:env": env}}}}}}
    container = {"name": "main", "env": [{"name": "A", "value": "x"}, {"name": "B", "value": "y"}]}
    before = live(fields, spec={"template": {"spec": {"containers": [container]}}})
    path = "/spec/template/spec/containers/0/env"
    assert removed(before, DEPLOYMENT) == [f"{path}/1", f"{path}/0/value"]


def test_what_is_inside_something_that_goes_is_not_named_again() -> None:
    fields = {"f:spec": {"f:strategy": {".": {}, "f:type": {}}}}
    before = live(fields, spec={"strategy": {"type": "Recreate"}})
    assert removed(before, DEPLOYMENT) == ["/spec/strategy"]


@pytest.mark.parametrize(
    "before",
    [
        live({"f:spec": {"f:paused": {}}}, manager=Names.FIELD_MANAGER, spec={"paused": True}),
        live({"f:spec": {"f:paused": {}}}, subresource="scale", spec={"paused": True}),
        live({"f:spec": {"f:paused": {}}}, spec={}),
        live({"f:status": {"f:replicas": {}}}, status={"replicas": 1}),
        live({"f:metadata": {"f:annotations": {"f:x": {}}}}, metadata={"annotations": {"x": "y"}}),
        live(
            {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:restartedAt": {}}}}}},
            spec={"template": {"metadata": {"annotations": {"restartedAt": "now"}}}},
        ),
        {"metadata": {}, "spec": {"paused": True}},
    ],
    ids=["ours", "a-subresource", "gone", "status", "an-annotation", "a-rollout-restart", "no-managers"],
)
def test_what_is_left(before: Document) -> None:
    assert removed(before, DEPLOYMENT) == []


def test_a_clusters_own_address_is_left() -> None:
    before = live({"f:spec": {"f:clusterIP": {}}}, spec={"clusterIP": "10.0.0.1"})
    assert removed(before, SERVICE) == []


def test_service_accounts_may_be_given_pull_secrets() -> None:
    before = live({"f:imagePullSecrets": {'k:{"name":"x"}': {}}}, imagePullSecrets=[{"name": "x"}])
    assert removed(before, {"kind": "ServiceAccount"}) == []


def test_data_of_a_config_map() -> None:
    before = live({"f:data": {"f:more": {}, "f:config.json": {}}}, data={"more": "x", "config.json": "{}"})
    wanted = {"kind": "ConfigMap", "data": {"config.json": "{}"}}
    assert removed(before, wanted) == ["/data/more"]


def test_pointers_are_escaped() -> None:
    assert pointer_text(("data", "a/b~c", 0)) == "/data/a~1b~0c/0"


def test_the_most_specific_and_newest_entry_says_who_wrote_a_place() -> None:
    whole = {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}
    old = {"manager": "hpa", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    new = {**old, "manager": "keda", "time": "2026-02-01T00:00:00Z", "subresource": "scale"}
    ours = {**old, "manager": Names.FIELD_MANAGER, "time": "2026-03-01T00:00:00Z"}
    live = {"metadata": {"managedFields": [whole, new, old, ours]}, "spec": {"replicas": 3, "paused": True}}
    assert writer(live, ("spec", "replicas")) == "keda through the subresource scale"
    assert writer(live, ("spec", "paused")) == "kubectl"
    assert writer(live, ("data", "x")) == ""
    assert writer({"metadata": {}}, ("spec",)) == ""


def test_a_place_is_named_for_people() -> None:
    live = {"spec": {"containers": [{"name": "a", "volumeMounts": [{"mountPath": "/x"}], "args": ["q"]}]}}
    place = ("spec", "containers", 0, "volumeMounts", 0, "readOnly")
    assert place_name(live, place) == "spec.containers[a].volumeMounts[/x].readOnly"
    assert place_name(live, ("spec", "containers", 0, "args", 0)) == "spec.containers[a].args[0]"
    assert place_name(live, ("metadata", "annotations", "a.io/b")) == "metadata.annotations[a.io/b]"
