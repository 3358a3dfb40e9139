from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.resources.sources import source, templated
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.deployment import deployment, roll_hash
from tubepost_operator.settings import ReleaseSettings


def annotations(given: Source) -> Document:
    result: Document = deployment(given)["metadata"]["annotations"]
    return result


def test_a_release_changes_the_template_and_not_the_roll() -> None:
    one = source()
    settings = replace(one.settings, release=ReleaseSettings(image="new:1"))
    two = replace(one, settings=settings)
    assert annotations(one)[Names.ROLL_ANNOTATION] == annotations(two)[Names.ROLL_ANNOTATION]
    assert annotations(one)[Names.TEMPLATE_ANNOTATION] != annotations(two)[Names.TEMPLATE_ANNOTATION]


def test_what_reloads_does_not_change_the_template() -> None:
    one = source()
    entries = one.config.entries
    delivery = entries[0].delivery.model_copy(update={"expiry": 1.0})
    config = one.config.model_copy(
        update={
            "generation": 9,
            "log_level": "Debug",
            "entries": (entries[0].model_copy(update={"delivery": delivery}),),
        }
    )
    two = replace(one, config=config)
    assert deployment(one)["spec"] == deployment(two)["spec"]


@pytest.mark.parametrize("what", ["port", "secrets", "image", "labels"])
def test_what_a_pod_cannot_change_about_itself_rolls(what: str) -> None:
    one = source()
    if what == "port":
        listener = one.config.listener.model_copy(update={"port": 2600})
        two = replace(one, config=one.config.model_copy(update={"listener": listener}))
    elif what == "secrets":
        two = replace(one, config_map="alerts-other")
    elif what == "image":
        two = templated(image="other:1")
    else:
        two = templated(labels={"a": "b"})
    assert roll_hash(one) != roll_hash(two)


def test_pods_are_within_pod_security_restricted() -> None:
    for name in ("first-publish", "everything-in-the-spec"):
        spec = deployment(source(name))["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert all(volume.keys() & {"configMap", "secret", "emptyDir"} for volume in spec["volumes"])
        for item in spec["containers"]:
            security = item["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True
            assert "subPath" not in str(item["volumeMounts"])
        for volume in spec["volumes"]:
            assert volume.get("secret", {"optional": True})["optional"] is True


def test_users_labels_never_win() -> None:
    given = templated(labels={"team": "push"})
    forged = given.spec.pod_template.model_copy(update={"labels": {Names.INSTANCE_LABEL: "other"}})
    given = replace(given, spec=given.spec.model_copy(update={"pod_template": forged}))
    labels = deployment(given)["spec"]["template"]["metadata"]["labels"]
    assert labels[Names.INSTANCE_LABEL] == "alerts"


def test_the_drain_ends_before_the_kubelet_kills() -> None:
    spec = deployment(templated(terminationGracePeriodSeconds=15))["spec"]["template"]["spec"]
    arguments = spec["containers"][0]["args"]
    grace = int(arguments[arguments.index("--grace") + 1])
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < grace + pause < spec["terminationGracePeriodSeconds"]
