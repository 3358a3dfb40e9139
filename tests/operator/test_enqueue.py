from __future__ import annotations

from tests.operator.objects import logger, push_domain, route, secret_document
from tubepost_operator.api import WatchEvent
from tubepost_operator.cache import Cache
from tubepost_operator.enqueue import Enqueuer
from tubepost_operator.metadata import read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key


class Watching:
    def __init__(self) -> None:
        self.cache = Cache()
        self.changed: list[str] = []
        self.enqueuer = Enqueuer(self.cache, self.note)

    def note(self, keys: object) -> None:
        self.changed += [str(key) for key in keys]  # type: ignore[attr-defined]  # keys

    def take(self) -> set[str]:
        result, self.changed = set(self.changed), []
        return result


def newer(document: Document, *, generation: int | None = None, **spec: object) -> Document:
    metadata = dict(document["metadata"])
    metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
    metadata["generation"] = generation or metadata["generation"] + 1
    return {**document, "metadata": metadata, "spec": {**document["spec"], **spec}}


def furnished() -> Watching:
    watching = Watching()
    for document in (route(), route("other"), logger(), push_domain(loggers=["log"])):
        watching.enqueuer.own(False, document)
    watching.take()
    return watching


def test_a_push_domain_concerns_what_it_begins_or_ceases_to_use() -> None:
    watching = furnished()
    first = push_domain(loggers=["log"])
    watching.enqueuer.own(False, newer(first, replicas=2))
    assert watching.take() == {"PushDomain default/alerts"}
    watching.enqueuer.own(False, newer(newer(first), routes=["other"]))
    assert watching.take() == {
        "PushDomain default/alerts",
        "ApnRoute default/apns",
        "ApnRoute default/other",
    }


def test_a_status_of_ours_concerns_nobody_and_somebody_else_s_the_object_alone() -> None:
    watching = furnished()
    key = Key("ApnRoute", "default", "apns")
    written = {**newer(route(), generation=1), "status": {"observedGeneration": 1}}
    watching.cache.set_status(key, written)
    watching.enqueuer.own(False, written)
    assert watching.take() == set()
    forged = {**written, "metadata": {**written["metadata"], "resourceVersion": "99"}, "status": {}}
    watching.enqueuer.own(False, forged)
    assert watching.take() == {str(key)}
    assert watching.cache.get(key) == forged


def test_a_route_concerns_itself_and_its_users() -> None:
    watching = furnished()
    watching.enqueuer.own(False, newer(route(), topic="com.example.x"))
    assert watching.take() == {"ApnRoute default/apns", "PushDomain default/alerts"}
    watching.enqueuer.own(False, newer(route("other"), topic="com.example.x"))
    assert watching.take() == {"ApnRoute default/other"}


def test_removal_concerns_the_users() -> None:
    watching = furnished()
    watching.enqueuer.own(True, logger())
    assert watching.take() == {"ApnLogger default/log", "PushDomain default/alerts"}
    watching.enqueuer.own(True, {**route(), "metadata": {**route()["metadata"], "uid": "a former one"}})
    assert watching.take() == set()


def test_what_a_watch_missed_is_made_up_for_by_a_list() -> None:
    watching = furnished()
    watching.enqueuer.listed("ApnRoute", [route("other")], ())
    assert "ApnRoute default/apns" in watching.take()
    assert watching.cache.get(Key("ApnRoute", "default", "apns")) is None
    watching.enqueuer.listed("ApnRoute", [], ("elsewhere",))
    assert watching.take() == set()


def test_a_secret_concerns_its_users_once_per_version() -> None:
    watching = furnished()
    document = secret_document()
    watching.enqueuer.secret(WatchEvent("Put", document))
    assert watching.take() == {
        "ApnRoute default/apns",
        "ApnRoute default/other",
        "PushDomain default/alerts",
    }
    watching.enqueuer.secret(WatchEvent("Put", document))
    watching.enqueuer.secret(WatchEvent("Sync", {}))
    assert watching.take() == set()
    watching.enqueuer.secret(WatchEvent("Gone", document))
    assert "PushDomain default/alerts" in watching.take()
    watching.enqueuer.secret(WatchEvent("Put", secret_document("nobody-s")))
    assert watching.take() == set()


def test_a_secret_of_a_logger_concerns_it_and_its_users() -> None:
    watching = furnished()
    webhook = {"url": "https://a.example", "signature": {"secretName": "events", "key": "hmac"}}
    changed = newer(logger(), sink={"type": "Webhook", "webhook": webhook})
    watching.enqueuer.own(False, changed)
    assert watching.take() == {"ApnLogger default/log", "PushDomain default/alerts"}
    watching.enqueuer.secret(WatchEvent("Put", secret_document("events")))
    assert watching.take() == {"ApnLogger default/log", "PushDomain default/alerts"}
    assert watching.cache.secrets_of(Key("PushDomain", "default", "alerts")) == {"cert", "events"}
    assert watching.cache.secrets_of(Key("ApnLogger", "default", "log")) == {"events"}


def config_map(name: str = "hooks", version: str = "1", namespace: str = "default") -> Document:
    return {"metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": version}}


def test_a_config_map_concerns_those_whose_hooks_it_has_once_per_version() -> None:
    watching = furnished()
    watching.enqueuer.own(False, newer(push_domain(), policy={"configMapName": "hooks"}))
    watching.take()
    watching.enqueuer.config_map(WatchEvent("Put", config_map()))
    assert watching.take() == {"PushDomain default/alerts"}
    watching.enqueuer.config_map(WatchEvent("Put", config_map()))
    watching.enqueuer.config_map(WatchEvent("Sync", {}))
    watching.enqueuer.config_map(WatchEvent("Put", config_map("nobody-s")))
    watching.enqueuer.config_map(WatchEvent("Put", config_map(namespace="other")))
    assert watching.take() == set()
    watching.enqueuer.config_map(WatchEvent("Put", config_map(version="2")))
    assert watching.take() == {"PushDomain default/alerts"}
    watching.enqueuer.config_map(WatchEvent("Gone", config_map()))
    assert watching.take() == {"PushDomain default/alerts"}
    assert watching.cache.config_maps.version("default", "hooks") is None


def service(version: str = "5", **annotations: str) -> Document:
    return {
        "metadata": {
            "name": "alerts",
            "namespace": "default",
            "uid": "u",
            "resourceVersion": version,
            "labels": Names.labels("alerts"),
            "annotations": annotations,
        }
    }


def test_the_echo_of_our_own_write_concerns_nobody() -> None:
    watching = furnished()
    written = service()
    watching.cache.written(Key("Service", "default", "alerts"), {"kind": "Service", **written})
    watching.enqueuer.child("Service", WatchEvent("Put", written))
    assert watching.take() == set()
    watching.enqueuer.child("Service", WatchEvent("Put", service("4")))
    assert watching.take() == set(), "older than what is known"
    watching.enqueuer.child("Service", WatchEvent("Put", service("6")))
    assert watching.take() == {"PushDomain default/alerts"}
    watching.enqueuer.child("Service", WatchEvent("Gone", service("7")))
    assert watching.take() == {"PushDomain default/alerts"}


def test_the_state_of_a_budget_concerns_nobody_that_of_a_deployment_does() -> None:
    watching = furnished()
    for kind, concerned in (("PodDisruptionBudget", set()), ("Deployment", {"PushDomain default/alerts"})):
        first, second = service("5"), service("6")
        for document in (first, second):
            document["metadata"]["generation"] = 1
        watching.cache.written(Key(kind, "default", "alerts"), {"kind": kind, **first})
        watching.enqueuer.child(kind, WatchEvent("Put", second))
        assert watching.take() == concerned


def test_a_pod_with_a_sidecar_belongs_to_the_push_domain_of_its_label() -> None:
    watching = furnished()
    document = service()
    document["metadata"]["labels"] = {Names.INJECT_LABEL: "alerts"}
    watching.enqueuer.child("Pod", WatchEvent("Put", document))
    assert watching.take() == {"PushDomain default/alerts"}
    assert watching.cache.pods_of("default", "alerts") == [read_meta(document, "Pod")]
