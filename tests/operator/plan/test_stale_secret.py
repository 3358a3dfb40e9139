from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.plan.test_needs import pod, running
from tubepost_operator.names import Names
from tubepost_operator.observed import Key, PodReport
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.plan.stale_secret import STALE_AFTER, emptied, may_be_emptied, message, stale_secrets
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


def test_only_workloads_are_emptied_and_the_write_is_told_from_the_other() -> None:
    manifests = decide(running()).manifests
    without = emptied(manifests)
    assert without[DEPLOYMENT]["spec"]["replicas"] == 0
    assert manifests[DEPLOYMENT]["spec"]["replicas"] == 1
    for name in (Names.TEMPLATE_ANNOTATION, Names.ROLL_ANNOTATION, Names.APPLIED_ANNOTATION):
        one, other = (item[DEPLOYMENT]["metadata"]["annotations"][name] for item in (manifests, without))
        assert (one == other) is (name != Names.APPLIED_ANNOTATION)
    assert all(without[key] is item for key, item in manifests.items() if key != DEPLOYMENT)


def test_pods_with_a_queue_are_not_all_stopped() -> None:
    plain = running()
    arranged = decide(plain).arranged
    assert arranged is not None
    assert may_be_emptied(plain, arranged)
    assert not may_be_emptied(plain, None)
    for target in (
        replace(arranged.target, queue=True),
        replace(arranged.target, kind="StatefulSet"),
    ):
        assert not may_be_emptied(plain, replace(arranged, target=target))


def test_the_message_says_why_and_what_to_do() -> None:
    stopped = message(replace(seen(None), emptying=True), ())
    assert "Secret cert: it was immutable" in stopped
    assert "All pods are stopped and started again. Remedy: none is needed" in stopped
    again = message(replace(seen(None), emptied_before=True), ("cert",))
    assert "did not help: other pods mount it" in again
    queued = message(seen(None), ("cert",))
    assert "They have a queue" in queued
    assert "Remedy: make the Secret under another name" in queued
