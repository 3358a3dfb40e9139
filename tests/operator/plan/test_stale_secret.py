from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.cases import snapshot
from tests.operator.plan.test_needs import pod, running
from tubepost_api.config import DispatcherConfig
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, PodReport
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.plan.stale_secret import (
    STALE_AFTER,
    holding,
    may_be_mended,
    mended,
    message,
    spared,
    stale_secrets,
)
from tubepost_operator.snapshot import PushDomainSnapshot

DEPLOYMENT = Key("Deployment", "default", "alerts")


def seen(
    report: PodReport | None, *, immutable: bool = True, waiting: float = STALE_AFTER
) -> PushDomainSnapshot:
    found = running(pod(last_report=report))
    secrets = {name: replace(secret, immutable=immutable) for name, secret in found.secrets.items()}
    return replace(found, secrets=secrets, unconfirmed_for=waiting)


def test_pods_that_do_not_take_up_an_immutable_secret_have_an_old_one() -> None:
    assert stale_secrets(seen(PodReport("old")), "new") == ("cert",)


@pytest.mark.parametrize(
    ("snapshot", "digest"),
    [
        (seen(PodReport("old")), "old"),
        (seen(PodReport("old"), waiting=STALE_AFTER - 1), "new"),
        (seen(PodReport("old"), immutable=False), "new"),
        (seen(PodReport("old", refused=True, refused_digest="new")), "new"),
        (seen(PodReport("")), "new"),
        (seen(None), "new"),
    ],
)
def test_what_is_no_sign_of_it(snapshot: PushDomainSnapshot, digest: str) -> None:
    assert stale_secrets(snapshot, digest) == ()


def test_of_several_those_count_that_are_younger_than_the_pod() -> None:
    found = seen(PodReport("old"))
    (one,) = found.secrets.values()
    (behind,) = found.pods
    secrets = {
        "cert": replace(one, created="2026-11-23T11:00:00Z"),
        "anew": replace(one, name="anew", created="2026-11-23T13:00:00Z"),
        "plain": replace(one, name="plain", created="2026-11-23T13:00:00Z", immutable=False),
    }
    pods = (replace(behind, meta=replace(behind.meta, created="2026-11-23T12:00:00Z")),)
    assert stale_secrets(replace(found, secrets=secrets, pods=pods), "new") == ("anew",)
    # A pod that is younger than all of them has what its node kept for others.
    pods = (replace(behind, meta=replace(behind.meta, created="2026-11-23T14:00:00Z")),)
    assert stale_secrets(replace(found, secrets=secrets, pods=pods), "new") == ("anew", "cert")


def test_pods_without_the_secret_have_no_old_one_and_need_not_go() -> None:
    found = seen(PodReport("old"))
    (behind,) = found.pods
    lacking = replace(behind, meta=replace(behind.meta, annotations={Names.WITHOUT_ANNOTATION: "cert"}))
    assert stale_secrets(replace(found, pods=(lacking,)), "new") == ()
    assert holding(replace(found, pods=(lacking, behind, replace(behind, sidecar=True)))) == ["uid-1"]


def manifests_and_config(case: str) -> tuple[dict[Key, Document], DispatcherConfig]:
    decision = decide(snapshot(case))
    assert decision.selection.source is not None
    return dict(decision.manifests), decision.selection.source.config


def without_relay(config: DispatcherConfig) -> DispatcherConfig:
    return config.model_copy(update={"passthru": None})


@pytest.mark.parametrize(
    ("secrets", "whole", "alone"),
    [
        (["cert"], True, True),
        (["authority"], True, True),
        (["cert", "token"], True, False),  # mail alone is left
        (["users"], False, False),
        (["server", "cert"], False, False),
        (["relay"], False, True),
    ],
)
def test_a_dispatcher_is_of_use_while_a_route_or_mail_is_left(
    secrets: list[str], whole: bool, alone: bool
) -> None:
    _, config = manifests_and_config("everything-in-the-spec")
    assert spared(config, secrets) is whole
    assert spared(without_relay(config), secrets) is alone


def test_where_others_are_served_pods_lack_the_secret_alone() -> None:
    manifests, config = manifests_and_config("everything-in-the-spec")
    changed = mended(manifests, config, ("cert",))
    before, after = manifests[DEPLOYMENT], changed[DEPLOYMENT]
    assert after["spec"]["replicas"] == before["spec"]["replicas"]
    volume = Names.secret_volume("cert")
    for manifest, there in ((before, True), (after, False)):
        pods = manifest["spec"]["template"]["spec"]
        assert (volume in [item["name"] for item in pods["volumes"]]) is there
        assert (volume in [item["name"] for item in pods["containers"][0]["volumeMounts"]]) is there
    assert (
        len(after["spec"]["template"]["spec"]["volumes"])
        == len(before["spec"]["template"]["spec"]["volumes"]) - 1
    )
    assert after["spec"]["template"]["metadata"]["annotations"][Names.WITHOUT_ANNOTATION] == "cert"
    told_apart(manifests, changed)


def test_where_nothing_would_be_served_there_are_no_pods() -> None:
    manifests, config = manifests_and_config("first-publish")
    changed = mended(manifests, config, ("cert",))
    assert changed[DEPLOYMENT]["spec"]["replicas"] == 0
    assert manifests[DEPLOYMENT]["spec"]["replicas"] > 0
    assert changed[DEPLOYMENT]["spec"]["template"] == manifests[DEPLOYMENT]["spec"]["template"]
    told_apart(manifests, changed)


def told_apart(manifests: dict[Key, Document], changed: dict[Key, Document]) -> None:
    """The write differs from the ordinary one, and is no rollout that a user or a release has asked for."""
    for name in (Names.TEMPLATE_ANNOTATION, Names.ROLL_ANNOTATION, Names.APPLIED_ANNOTATION):
        one, other = (item[DEPLOYMENT]["metadata"]["annotations"][name] for item in (manifests, changed))
        assert (one == other) is (name != Names.APPLIED_ANNOTATION)
    assert all(changed[key] is item for key, item in manifests.items() if key != DEPLOYMENT)


def test_pods_with_a_queue_are_left_alone() -> None:
    plain = running()
    arranged = decide(plain).arranged
    assert arranged is not None
    assert may_be_mended(plain, arranged)
    assert not may_be_mended(plain, None)
    for target in (
        replace(arranged.target, queue=True),
        replace(arranged.target, kind="StatefulSet"),
    ):
        assert not may_be_mended(plain, replace(arranged, target=target))


def test_the_message_says_why_and_what_to_do() -> None:
    _, one = manifests_and_config("first-publish")
    _, two = manifests_and_config("everything-in-the-spec")
    stopped = message(replace(seen(None), emptying=("cert",)), one, ())
    assert "Secret cert: it was immutable" in stopped
    assert "All pods are stopped and started again. Remedy: none is needed" in stopped
    replaced = message(replace(seen(None), emptying=("cert",)), two, ())
    assert "these routes send nothing: apns. Remedy: none is needed" in replaced
    again = message(replace(seen(None), emptied_before=True), one, ("cert",))
    assert "did not help: other pods mount it" in again
    queued = message(seen(None), one, ("cert",))
    assert "They have a queue" in queued
    assert "Remedy: make the Secret under another name" in queued
