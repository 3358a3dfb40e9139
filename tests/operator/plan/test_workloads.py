from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.operator.plan.moving import (
    CLAIM,
    DIRECT,
    EMPTY_DIR,
    STREAM,
    arranged,
    available,
    claim,
    claims,
    joined,
    pod,
    settled,
    wanting,
)
from tubepost_api.config import AcceptanceMode, DeliveryMode, ServingWorkload
from tubepost_operator.names import Names
from tubepost_operator.observed import Child, Key, PodReport
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.plan.queue_pods import workload
from tubepost_operator.plan.workloads import (
    Arrangement,
    present_kind,
    serving_replicas,
    unbound_claims,
)
from tubepost_operator.resources.queue import QueueVolume
from tubepost_operator.snapshot import PushDomainSnapshot

RETIRED = (ServingWorkload(kind="Deployment"),)


def found(seen: PushDomainSnapshot) -> Arrangement:
    arrangement = arranged(seen).arranged
    assert arrangement is not None
    return arrangement


def from_claim_to_direct(**fields: Any) -> PushDomainSnapshot:
    """The Deployment is complete, the StatefulSet's only pod is still there."""
    old = settled(CLAIM, pods=(pod("alerts-0", queue="Claim", **fields),))
    return wanting(joined(old, settled(DIRECT)), DIRECT)


def test_without_a_decision_the_workload_that_is_there_is_the_one() -> None:
    assert present_kind(settled(CLAIM)) == "StatefulSet"
    assert present_kind(settled(DIRECT)) == "Deployment"
    assert present_kind(joined(settled(CLAIM), settled(DIRECT))) == "Deployment"
    unreadable = settled(CLAIM)
    document = {**unreadable.document, "spec": {"domains": 7}}
    assert decide(replace(unreadable, document=document)).kind == "StatefulSet"


@pytest.mark.parametrize(
    ("spec", "kind", "queue"),
    [
        (DIRECT, "Deployment", None),
        (EMPTY_DIR, "Deployment", QueueVolume.EMPTY_DIR),
        (CLAIM, "StatefulSet", QueueVolume.CLAIM),
        ({"queue": CLAIM["queue"]}, "StatefulSet", QueueVolume.CLAIM),
        (STREAM, "Deployment", QueueVolume.JETSTREAM),
        ({"queue": STREAM["queue"]}, "Deployment", QueueVolume.JETSTREAM),
    ],
)
def test_the_queue_decides_on_the_workload(spec: Any, kind: str, queue: QueueVolume | None) -> None:
    for seen in (settled(spec), wanting(settled(DIRECT), spec)):
        arrangement = found(seen)
        assert (arrangement.target.kind, arrangement.source.queue) == (kind, queue)
        assert (arrangement.source.claim is not None) is (kind == "StatefulSet")


def test_pods_without_a_queue_keep_their_own_configuration_while_a_queue_is_made() -> None:
    seen = wanting(settled(DIRECT), CLAIM)
    arrangement = found(seen)
    direct = workload(seen, "Deployment")
    assert direct is not None
    assert arrangement.source.config_map != direct.meta.annotations[Names.CONFIG_ANNOTATION]
    assert arrangement.retiring is None
    assert arrangement.serving.who == ()


def test_pods_that_retire_get_the_newest_configuration_and_are_told_so() -> None:
    arrangement = found(from_claim_to_direct(queued=3))
    assert arrangement.source.config.serving == (), "its pods have no queue, and never retire"
    assert arrangement.retiring is not None
    assert arrangement.retiring.config.serving == RETIRED
    assert arrangement.retiring.config.acceptance.mode is AcceptanceMode.DIRECT
    assert arrangement.source.unready == 1
    assert [one.left for one in arrangement.settlement.draining] == [3]


def test_pods_that_retire_and_lack_a_secret_keep_the_configuration_that_they_have() -> None:
    seen = from_claim_to_direct(queued=3)
    route = seen.routes["apns"]
    changed = {**route, "spec": {**route["spec"], "certificate": {"secretName": "renewed"}}}
    secrets = {**seen.secrets, "renewed": replace(seen.secrets["cert"], name="renewed")}
    arrangement = found(replace(seen, routes={"apns": changed}, secrets=secrets))
    assert arrangement.retiring is not None
    assert arrangement.retiring.config.secret_names() == {"cert"}
    assert arrangement.retiring.config.serving == RETIRED
    assert arrangement.source.config.secret_names() == {"renewed"}


def test_what_is_told_once_is_not_told_again() -> None:
    seen = from_claim_to_direct(queued=3)
    decision = arranged(seen)
    assert decision.arranged is not None
    assert decision.arranged.retiring is not None
    name = decision.arranged.retiring.config_map
    key = Key("ConfigMap", "default", name)
    body = {**decision.manifests[key], "metadata": {**decision.manifests[key]["metadata"], "uid": "u"}}
    told = replace(seen, children={**seen.children, key: Child(seen.children[key].meta, body)})
    meta = replace(told.children[key].meta, annotations=body["metadata"]["annotations"])
    told = replace(told, children={**told.children, key: Child(meta, body)})
    told = wanting(told, DIRECT)
    again = found(told)
    assert again.retiring is not None
    assert again.retiring.config == decision.arranged.retiring.config
    # One replica less is no reason to have the old workload serve again; none is.
    assert found(available(told, "Deployment", 0)).serving.who == ()
    two = wanting(told, DIRECT, replicas=2)
    assert found(available(two, "Deployment", 1)).serving.who == RETIRED
    assert found(available(wanting(seen, DIRECT, replicas=2), "Deployment", 1)).serving.who == ()


@pytest.mark.parametrize(
    ("fields", "left", "trouble"),
    [
        ({}, 0, ""),
        ({"queued": 12}, 12, ""),
        ({"sessions": 1}, None, "ends its last sessions"),
        ({"quiet_for": 1.0}, None, "ends its last sessions"),
        ({"retiring": False}, None, "still serves"),
        ({"retiring": False, "queued": 2}, 2, ""),
        ({"queued": None}, None, "a partition of its queue is not open"),
        ({"digest": ""}, None, "does not answer"),
        ({"last_report": None}, None, "does not answer"),
        ({"url": None}, None, "has not been asked"),
        ({"url": None, "trouble": "ImagePullBackOff"}, None, "ImagePullBackOff"),
        ({"url": None, "began": False}, None, "has not been asked"),
    ],
)
def test_a_queue_is_empty_when_its_pod_has_just_said_so(
    fields: dict[str, Any], left: int | None, trouble: str
) -> None:
    arrangement = found(claims(from_claim_to_direct(**fields), claim(0)))
    waiting = arrangement.settlement.draining
    assert [(one.left, one.trouble) for one in waiting] == ([] if left == 0 else [(left, trouble)])
    assert arrangement.settlement.remove_old is (left == 0)


def test_what_was_said_before_is_not_believed() -> None:
    seen = replace(from_claim_to_direct(), read=frozenset())
    assert [one.trouble for one in found(seen).settlement.draining] == ["has not been asked"]


def test_a_claim_without_a_volume_has_nothing_in_it() -> None:
    never = from_claim_to_direct(url=None, began=False)
    assert found(claims(never, claim(0, "Pending"))).settlement.remove_old
    assert not found(claims(never, claim(0))).settlement.remove_old
    gone = replace(never, pods=())
    waiting = found(claims(gone, claim(0))).settlement.draining
    assert [(one.name, one.trouble) for one in waiting] == [("alerts-0", "is not there")]
    assert found(claims(gone, claim(0, "Pending"))).settlement.remove_old
    # One that nobody has heard of has to be looked for.
    assert not found(gone).settlement.remove_old
    looked = replace(gone, read=gone.read | {Key("PersistentVolumeClaim", "default", "queue-alerts-0")})
    assert found(looked).settlement.remove_old


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ({"queued": 4}, True),
        ({}, False),
        ({"url": None}, True),
        ({"url": None, "ended": True}, False),
        ({"url": None, "began": False}, False),
    ],
)
def test_an_empty_dir_is_gone_with_its_pod_and_empty_before_it_begins(
    fields: dict[str, Any], waits: bool
) -> None:
    old = settled(EMPTY_DIR, pods=(pod("alerts-1-abcde", queue="EmptyDir", **fields),))
    arrangement = found(wanting(joined(old, settled(CLAIM)), CLAIM))
    assert bool(arrangement.settlement.draining) is waits
    assert arrangement.settlement.remove_old is not waits


def test_an_empty_dir_stays_until_pods_that_serve_have_emptied_it() -> None:
    one = pod("alerts-1-abcde", queue="EmptyDir", queued=4, retiring=False)
    seen = wanting(settled(EMPTY_DIR, pods=(one,)), DIRECT)
    arrangement = found(seen)
    assert arrangement.source.queue is QueueVolume.EMPTY_DIR
    assert arrangement.source.config.queue is None
    digest = arranged(seen).digest
    for report, emptied in (
        (PodReport("before", queued=0), False),
        (PodReport(digest, queued=1), False),
        (PodReport(digest, queued=0, sessions=3), True),
    ):
        after = replace(seen, pods=(replace(one, last_report=report),))
        assert (found(after).source.queue is None) is emptied
        assert arranged(after).digest == digest


def test_pods_that_empty_their_empty_dir_are_not_replaced_before_it_is() -> None:
    limited = {**EMPTY_DIR, "queue": {"disk": {"maxSize": "100Mi"}}}
    one = pod("alerts-1-abcde", queue="EmptyDir", queued=4, retiring=False)
    seen = wanting(settled(limited, pods=(one,)), DIRECT)
    key = Key("Deployment", "default", "alerts")
    before = seen.children[key].body
    assert before is not None
    assert arranged(seen).manifests[key]["spec"]["template"] == before["spec"]["template"]


def test_fewer_replicas_keep_the_higher_ones_until_they_are_empty() -> None:
    pods = (
        *(pod(f"alerts-{number}", queue="Claim", retiring=False, queued=9) for number in range(2)),
        *(pod("alerts-2", queue="Claim", queued=5), pod("alerts-3", queue="Claim")),
    )
    seen = wanting(settled(CLAIM, pods=pods, replicas=4), CLAIM, replicas=2)
    arrangement = found(seen)
    assert arrangement.serving.who == (ServingWorkload(kind="StatefulSet", replicas=2),)
    assert arrangement.source.config.serving == arrangement.serving.who
    assert arrangement.source.wanted_replicas == 3
    assert arrangement.source.unready == 2
    assert [one.name for one in arrangement.settlement.draining] == ["alerts-2"]


def test_the_users_word_counts_for_one_generation() -> None:
    seen = from_claim_to_direct(queued=3)

    def saying(text: str) -> Arrangement:
        metadata = {**seen.document["metadata"], "annotations": {Names.ABANDON_ANNOTATION: text}}
        return found(replace(seen, document={**seen.document, "metadata": metadata}))

    assert saying(str(seen.generation)).settlement.remove_old
    assert not saying(str(seen.generation - 1)).settlement.remove_old


def test_a_claim_stays_as_it_was_made_but_for_its_retention() -> None:
    other = {"size": "1Gi", "storageClassName": "slow", "retention": "Delete"}
    claim_now = found(wanting(settled(CLAIM), CLAIM, queue={"disk": {"claim": other}})).source.claim
    assert claim_now is not None
    assert (claim_now.size, claim_now.storage_class, claim_now.retention) == ("2Gi", "fast", "Delete")


def test_claims_without_a_volume_are_named_with_what_is_told_of_them() -> None:
    seen = claims(settled(CLAIM), claim(0, "Pending"), claim(1))
    text = "PersistentVolumeClaim default/queue-alerts-0 (2Gi, StorageClass fast) is Pending"
    assert unbound_claims(seen) == [text]
    told = replace(seen, told={claim(0).meta.key: "ProvisioningFailed: no such class."})
    assert unbound_claims(told) == [f"{text} (ProvisioningFailed: no such class)"]
    lost = claims(settled(CLAIM), claim(0, "Lost", storageClassName=None))
    assert unbound_claims(lost)[0].endswith("(2Gi, no StorageClass) is Lost")


@pytest.mark.parametrize(("retention", "waits"), [("Retain", False), ("Delete", True)])
def test_what_was_set_aside_is_not_deleted_with_its_volume(retention: str, waits: bool) -> None:
    spec = {**CLAIM, "queue": {"disk": {"claim": {"retention": retention}}}}
    old = settled(spec, pods=(pod("alerts-0", queue="Claim", set_aside=1),))
    settlement = found(wanting(joined(old, settled(DIRECT)), DIRECT)).settlement
    assert [one.trouble for one in settlement.draining] == (
        ["empty, but damaged parts of its queue were set aside there"] if waits else []
    )
    assert settlement.remove_old is not waits
    empty_dir = settled(EMPTY_DIR, pods=(pod("alerts-1-abcde", queue="EmptyDir", set_aside=1),))
    assert not found(wanting(joined(empty_dir, settled(CLAIM)), CLAIM)).settlement.remove_old


def test_an_autoscaler_is_told_of_what_serves_alone() -> None:
    def told(seen: PushDomainSnapshot) -> int:
        return serving_replicas(seen, found(seen))

    assert told(settled(DIRECT, replicas=3)) == 3
    assert told(settled(CLAIM, replicas=3)) == 3
    three = tuple(pod(f"alerts-{number}", queue="Claim", queued=1, ready=number == 0) for number in range(3))
    fewer = wanting(settled(CLAIM, replicas=3, pods=three), CLAIM, replicas=1)
    assert found(fewer).settlement.replicas == 3, "they are there, and deliver their queues"
    assert told(fewer) == 1
    both = joined(settled(CLAIM, pods=(pod("alerts-0", queue="Claim", queued=1),)), settled(DIRECT))
    assert told(wanting(both, DIRECT)) == 1, "one retires"
    assert told(available(wanting(both, DIRECT, replicas=2), "Deployment", 0)) == 1, (
        "both serve, for the whole"
    )
    assert serving_replicas(settled(CLAIM, replicas=2), None) == 2


def test_claims_are_delivered_before_a_stream_takes_their_place() -> None:
    old = settled(CLAIM, pods=(pod("alerts-0", queue="Claim", queued=7),))
    arrangement = found(wanting(joined(old, settled(STREAM)), STREAM))
    assert arrangement.serving.old_retires
    assert not arrangement.settlement.remove_old
    (waiting,) = arrangement.settlement.draining
    assert (waiting.name, waiting.left) == ("alerts-0", 7)


def test_pods_on_claims_get_what_changes_while_they_retire_for_a_stream_that_needs_a_secret() -> None:
    stream = {**STREAM["queue"]["jetStream"], "authSecretName": "nats-user"}
    held = {**CLAIM, "delivery": {"mode": "Suspend"}}
    seen = joined(settled(held, pods=(pod("alerts-0", queue="Claim", queued=7),)), settled(STREAM))
    login = replace(
        seen.secrets["cert"], name="nats-user", data={"username": b"tubepost", "password": b"of a test"}
    )
    seen = replace(seen, secrets={**seen.secrets, "nats-user": login})
    arrangement = found(wanting(seen, {**STREAM, "queue": {"jetStream": stream}}))
    assert "nats-user" in arrangement.source.config.secret_names()
    assert arrangement.retiring is not None
    config = arrangement.retiring.config
    assert config.secret_names() == {"cert"}
    assert config.queue is not None
    assert (config.queue.jet_stream, config.queue.persistent) == (None, True)
    assert {entry.delivery.mode for entry in config.entries} == {DeliveryMode.DELIVER}
    assert config.serving == (ServingWorkload(kind="Deployment"),)


@pytest.mark.parametrize(("queued", "remove"), [(7, False), (0, True)])
def test_a_stream_is_emptied_by_the_pods_that_had_it_before_claims_take_its_place(
    queued: int, remove: bool
) -> None:
    old = settled(STREAM, pods=(pod("alerts-1-a", queue="JetStream", queued=queued),))
    arrangement = found(wanting(joined(old, settled(CLAIM)), CLAIM))
    assert arrangement.settlement.remove_old is remove
    assert arrangement.retiring is not None
    assert arrangement.retiring.queue is QueueVolume.JETSTREAM
    queue = arrangement.retiring.config.queue
    assert queue is not None
    assert queue.jet_stream is not None
    assert arrangement.retiring.config.serving == (ServingWorkload(kind="StatefulSet"),)


def test_what_is_in_a_stream_waits_for_no_pod_of_the_same_deployment() -> None:
    seen = settled(STREAM, pods=(pod("alerts-1-a", queue="JetStream", queued=7),))
    for spec in (DIRECT, STREAM):
        arrangement = found(wanting(seen, spec))
        assert arrangement.settlement.draining == ()
        assert not arrangement.settlement.keep_queue


def test_pods_with_a_disk_never_read_the_configuration_of_a_stream() -> None:
    disk, stream = found(settled(EMPTY_DIR)), found(settled(STREAM))
    assert disk.source.config_map != stream.source.config_map
