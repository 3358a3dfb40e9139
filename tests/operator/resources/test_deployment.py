from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.resources.sources import source, templated
from tubepost_api.podtemplate import PodTemplateSpec
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.deployment import deployment, pod_template, roll_hash
from tubepost_operator.resources.queue import QueueVolume
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


def test_who_the_pods_run_as_is_left_to_the_image_and_the_namespace() -> None:
    identities = {"runAsUser", "runAsGroup", "fsGroup"}
    security = deployment(source())["spec"]["template"]["spec"]["securityContext"]
    assert not identities & security.keys()
    given = templated(security={"runAsUser": 7})
    security = deployment(given)["spec"]["template"]["spec"]["securityContext"]
    assert {key: security[key] for key in identities & security.keys()} == {"runAsUser": 7}
    # But a claim's volume has to be given to somebody.
    security = pod_template(replace(source(), queue=QueueVolume.CLAIM))["spec"]["securityContext"]
    assert security["fsGroup"] == 65532
    # Unless the namespace has groups of its own.
    settings = replace(source().settings, release=ReleaseSettings(claim_group=0))
    left = replace(source(), queue=QueueVolume.CLAIM, settings=settings)
    assert not identities & pod_template(left)["spec"]["securityContext"].keys()
    # So any user has to be able to read what is mounted.
    for volume in deployment(source())["spec"]["template"]["spec"]["volumes"]:
        for kind in ("configMap", "secret"):
            assert volume.get(kind, {"defaultMode": 0o444})["defaultMode"] == 0o444


def test_the_releases_pod_template_holds_where_the_push_domains_says_nothing() -> None:
    defaults = PodTemplateSpec.model_validate_json(
        """{"labels": {"team": "mail", "tier": "x"}, "nodeSelector": {"pool": "mail"},
            "resources": {"limits": {"cpu": "2"}}, "imagePullSecrets": ["one"],
            "affinity": {"nodeAffinity": {}}, "tolerations": [{"operator": "Exists"}]}"""
    )
    one = templated(
        labels={"team": "push"},
        resources={"limits": {"memory": "1Gi"}},
        imagePullSecrets=("two",),
        affinity={"podAffinity": {}},
    )
    two = replace(one, settings=replace(one.settings, release=ReleaseSettings(pod_template=defaults)))
    template = deployment(two)["spec"]["template"]
    assert template["metadata"]["labels"].items() >= {"team": "push", "tier": "x"}.items()
    spec = template["spec"]
    assert spec["nodeSelector"] == {"pool": "mail"}
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert [item["name"] for item in spec["imagePullSecrets"]] == ["one", "two"]
    assert spec["affinity"] == {"podAffinity": {}}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    # A change of the release alone: pods roll gradually.
    assert roll_hash(one) == roll_hash(two)


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
