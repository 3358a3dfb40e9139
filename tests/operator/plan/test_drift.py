from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.operator.plan.test_needs import running
from tubepost_operator.observed import Child, Document, Key
from tubepost_operator.plan.drift import applied, drift, on_admission, remedy, repair, repaired_text, told
from tubepost_operator.plan.push_domain import decide

SEEN = running()
KEY = Key("Deployment", "default", "alerts")
MANIFEST = decide(SEEN).manifests[KEY]


def live(*managers: Document, **spec: Any) -> Child:
    body = deepcopy(dict(SEEN.children[KEY].body or {}))
    body["spec"].update(spec)
    body["metadata"] = {**body["metadata"], "managedFields": list(managers)}
    return Child(SEEN.children[KEY].meta, body)


def with_cpu(child: Child, cpu: str) -> Child:
    body = deepcopy(dict(child.body or {}))
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return Child(child.meta, body, child.in_sync, child.trial)


SCALED = {
    "manager": "kube-controller-manager",
    "subresource": "scale",
    "time": "2026-11-23T12:00:00Z",
    "fieldsV1": {"f:spec": {"f:replicas": {}}},
}


def test_nothing_has_changed() -> None:
    assert drift(live(), MANIFEST) == []
    assert drift(Child(SEEN.children[KEY].meta), MANIFEST) == [], "not read"


def test_which_field_from_what_to_what_and_by_whom() -> None:
    (change,) = drift(live(SCALED, replicas=3), MANIFEST)
    assert change.field == "spec.replicas"
    text = "spec.replicas was changed from 1 to 3 by kube-controller-manager through the subresource scale"
    assert (change.text, change.added) == (text, False)
    message = repaired_text("alerts", KEY, [change])
    assert message.startswith(
        f"Deployment alerts: {text}; it has been put back. Remedy: the number of replicas"
    )
    assert "kubectl scale pushdomain/alerts" in message
    assert repair([change]).fields == ("spec.replicas",)


@pytest.mark.parametrize(
    ("manager", "subresource", "replicas", "cpu", "autoscaled"),
    [
        ("kube-controller-manager", "scale", 3, "100m", True),
        ("keda-operator", "scale", 3, "100m", True),
        ("kubectl", "scale", 3, "100m", False),
        ("kubectl-edit", "", 3, "100m", False),
        ("kube-controller-manager", "scale", 3, "200m", False),
    ],
)
def test_an_autoscaler_is_told_from_people(
    manager: str, subresource: str, replicas: int, cpu: str, autoscaled: bool
) -> None:
    child = with_cpu(live({**SCALED, "manager": manager, "subresource": subresource}, replicas=replicas), cpu)
    assert repair(drift(child, MANIFEST)).autoscaled is autoscaled


def test_what_was_added_names_the_list_item_and_who() -> None:
    child = live()
    body = deepcopy(dict(child.body or {}))
    container = body["spec"]["template"]["spec"]["containers"][0]
    name = container["name"]
    container["env"] = [*container.get("env", []), {"name": "STAKATER_APNS_KEY_SECRET", "value": "1"}]
    path = {"f:env": {'k:{"name":"STAKATER_APNS_KEY_SECRET"}': {".": {}, "f:name": {}, "f:value": {}}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": {f'k:{{"name":"{name}"}}': path}}}}}
    body["metadata"]["managedFields"] = [{"manager": "Reloader", "operation": "Update", "fieldsV1": fields}]
    (change,) = drift(Child(child.meta, body), MANIFEST)
    assert change.added
    assert change.text.startswith(f"spec.template.spec.containers[{name}].env")
    assert change.text.endswith("was added by Reloader")
    assert "reloader.stakater.com/ignore" in remedy("Deployment", [change.field], "alerts")


def test_what_a_policy_makes_of_it_is_nobody_s_change() -> None:
    mutated = with_cpu(live(), "77m")
    (change,) = drift(mutated, MANIFEST)
    assert change.field.endswith(".resources.requests.cpu")
    known = Child(mutated.meta, mutated.body, trial=(applied(MANIFEST), mutated.body or {}))
    assert drift(known, MANIFEST) == []
    (text,) = on_admission(known, MANIFEST)
    assert "resources.requests.cpu is 77m, not 100m" in text
    changed = with_cpu(known, "99m")
    assert "from 100m to 99m" in drift(changed, MANIFEST)[0].text, "somebody else, beside the policy"
    outdated = Child(mutated.meta, mutated.body, trial=("another", mutated.body or {}))
    assert drift(outdated, MANIFEST) != []
    assert on_admission(outdated, MANIFEST) == []


@pytest.mark.parametrize(
    ("kind", "field", "text"),
    [
        ("Service", "spec.type", "spec.service"),
        ("Deployment", "spec.strategy.type", "spec.podTemplate"),
        ("Deployment", "spec.strategy.type", "tubepost.io/paused"),
    ],
)
def test_every_change_has_a_remedy(kind: str, field: str, text: str) -> None:
    assert text in remedy(kind, [field], "alerts")


def test_messages_are_bounded() -> None:
    changes = drift(
        live(replicas=3, progressDeadlineSeconds=1, revisionHistoryLimit=1, strategy={}), MANIFEST
    )
    assert told(changes).endswith("and 2 more")
    assert "deleted by somebody else" in repaired_text("alerts", KEY, [])
