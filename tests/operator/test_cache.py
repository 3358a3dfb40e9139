from __future__ import annotations

from dataclasses import replace

from tests.operator.objects import logger, push_domain, route
from tubepost_operator.cache import Cache
from tubepost_operator.metadata import object_key, read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, PodReport, Secret


def pod(name: str = "alerts-1", version: str = "5", **labels: str) -> Document:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": version,
            "labels": labels,
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "secret",
                "tubepost.io/a": "b",
            },
        }
    }


def test_only_what_matters_to_a_plan_is_new() -> None:
    cache = Cache()
    document = push_domain()
    assert cache.put(document)
    later = {**document, "metadata": {**document["metadata"], "resourceVersion": "2"}, "status": {"a": 1}}
    cache.set_status(object_key(document), later)
    assert not cache.put(later), "the echo of our own write"
    assert cache.get(object_key(document)) == later
    labelled = {**later, "metadata": {**later["metadata"], "labels": {"a": "b"}, "resourceVersion": "3"}}
    assert not cache.put(labelled)
    forged = {**later, "metadata": {**later["metadata"], "resourceVersion": "4"}, "status": {"a": 2}}
    assert cache.put(forged), "somebody else's"
    later = forged
    assert not cache.put(document), "older than what is known"
    assert cache.get(object_key(document)) == later
    newer = {**later, "metadata": {**later["metadata"], "generation": 2, "resourceVersion": "5"}}
    assert cache.put(newer)
    again = {**document, "metadata": {**document["metadata"], "uid": "another"}}
    assert cache.put(again)


def test_users_are_exactly_those_that_refer() -> None:
    cache = Cache()
    for document in (
        push_domain("one"),
        push_domain("two", routes=["other"], loggers=["log"]),
        push_domain("three", listener={"startTls": {"secretName": "cert"}}, routes=["other"]),
        route(),
        route("other", certificate={"secretName": "second"}),
        logger(),
    ):
        cache.put(document)

    def names(keys: list[Key]) -> set[str]:
        return {key.name for key in keys}

    assert names(cache.users_of(Key("ApnRoute", "default", "apns"))) == {"one"}
    assert names(cache.users_of(Key("ApnLogger", "default", "log"))) == {"two"}
    assert names(cache.users_of_secret("default", "cert")) == {"apns", "one", "three"}
    assert names(cache.users_of_secret("default", "second")) == {"other", "two", "three"}
    assert cache.users_of_secret("elsewhere", "cert") == []
    assert cache.secrets_of(Key("PushDomain", "default", "three")) == {"cert", "second"}
    one = Key("PushDomain", "default", "one")
    cache.remove(one, "that of another one of its name")
    assert cache.users_of(Key("ApnRoute", "default", "apns")) == [one]
    known = cache.get(one)
    assert known is not None
    cache.remove(one, known["metadata"]["uid"])
    assert cache.users_of(Key("ApnRoute", "default", "apns")) == []


def test_metadata_does_not_go_back_in_time() -> None:
    cache = Cache()
    old, new = (
        read_meta(pod(version=version, **{"tubepost.io/inject": "alerts"}), "Pod") for version in "57"
    )
    assert cache.put_meta(new) is None
    assert cache.put_meta(old) is old
    assert cache.pods_of("default", "alerts") == [new]
    other = replace(old, uid="another")
    assert cache.put_meta(other) == new
    assert cache.remove_meta(new.key, new.uid) is None
    assert cache.remove_meta(new.key, "another") == other
    assert cache.pods_of("default", "alerts") == []


def test_a_secret_is_new_once() -> None:
    cache = Cache()
    assert cache.secrets.put("default", "cert", "1")
    assert not cache.secrets.put("default", "cert", "1")
    assert cache.secrets.put("default", "cert", "2")
    cache.secrets.remove("default", "cert")
    assert cache.secrets.version("default", "cert") is None


def test_a_users_word_about_queues_is_new() -> None:
    cache = Cache()
    document = push_domain()
    assert cache.put(document)
    for number, (said, new) in enumerate(
        (({"a": "b"}, False), ({"tubepost.io/abandon-queue": "1"}, True), ({}, True))
    ):
        metadata = {**document["metadata"], "annotations": said, "resourceVersion": str(number + 2)}
        assert cache.put({**document, "metadata": metadata}) is new


def test_a_pod_is_quiet_since_the_first_of_its_last_reports_that_were() -> None:
    cache = Cache()
    cache.put_meta(read_meta(pod(**{"tubepost.io/push-domain": "alerts"}), "Pod"))
    quiet = PodReport("x", queued=0, retiring=True)

    def after(report: PodReport, at: float) -> float:
        cache.set_report("uid-alerts-1", replace(report, at=at))
        (found,) = cache.pods("default", "alerts")
        return found.quiet_for

    assert after(replace(quiet, queued=4), 1.0) == 0.0
    assert after(quiet, 5.0) == 0.0
    assert after(quiet, 8.0) == 3.0
    assert after(replace(quiet, sessions=1), 9.0) == 0.0
    assert after(quiet, 10.0) == 0.0
    assert after(replace(quiet, retiring=False, sessions=1), 13.0) == 0.0
    assert after(replace(quiet, retiring=False, sessions=2), 14.0) == 1.0
    assert after(replace(quiet, digest="y"), 15.0) == 0.0
    assert after(PodReport(), 16.0) == 0.0


def test_claims_are_with_the_children() -> None:
    cache = Cache()
    labels = Names.labels("alerts")
    document = pod("queue-alerts-0", **labels)
    claim = Key("PersistentVolumeClaim", "default", "queue-alerts-0")
    cache.take(claim, {**document, "status": {"phase": "Pending"}})
    (child,) = cache.children_of("default", "alerts")
    assert (child.meta.key, child.body and child.body["status"]) == (claim, {"phase": "Pending"})
    cache.put_meta(read_meta(pod("queue-alerts-0", "9", **labels), "PersistentVolumeClaim"))
    (child,) = cache.children_of("default", "alerts")
    assert child.body is None, "it has changed, and is to be read again"


def test_a_secret_that_was_immutable_once_stays_suspicious() -> None:
    cache = Cache()
    cache.secrets.put("default", "cert", "1")
    assert cache.set_secret("default", Secret("cert", "1", {}, immutable=True)).immutable
    cache.secrets.remove("default", "cert")
    cache.secrets.put("default", "cert", "2")
    assert cache.set_secret("default", Secret("cert", "2", {})).immutable
    assert not cache.set_secret("other", Secret("cert", "2", {})).immutable
