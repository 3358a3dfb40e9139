from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.operator.cases import snapshot
from tests.operator.fake import FakeCluster, FakePods
from tests.operator.objects import push_domain, route, secret_document
from tests.operator.test_scrape import pod
from tubepost_operator.api import ApiError
from tubepost_operator.cache import Cache
from tubepost_operator.gather import Gatherer, observe_push_domain, observe_referenced, read_secret
from tubepost_operator.metadata import read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import (
    ConfigMap,
    Document,
    Hooks,
    Key,
    LastEvent,
    Need,
    PodList,
    PodMetrics,
    PodReport,
)
from tubepost_operator.settings import Settings
from tubepost_operator.snapshot import PushDomainSnapshot

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWNER = Key("PushDomain", "default", "alerts")
SECRET = Key("Secret", "default", "cert")
CONFIG_MAP = Key("ConfigMap", "default", "alerts-1")


class Gathering:
    """A PushDomain in the cache, and what is read for it."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.pods = FakePods()
        self.cache = Cache()
        self.gatherer = Gatherer(self.cluster, self.cache, self.pods)
        for document in (push_domain(), route()):
            self.cache.put(document)

    def observe(self) -> PushDomainSnapshot:
        return observe_push_domain(self.cache, OWNER, push_domain(), Settings(), NOW)

    async def read(self, *wanted: Need) -> PushDomainSnapshot:
        """Read what is wanted, once."""
        return await self.gatherer.gather(
            self.observe(), lambda seen: tuple(need for need in wanted if need not in seen.read)
        )

    def secret(self, version: str = "1") -> None:
        self.cluster.objects["Secret", "default", "cert"] = secret_document()
        self.cache.secrets.put("default", "cert", version)


def config_map(**labels: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "alerts-1", "namespace": "default", "labels": labels},
        "data": {"a": "b"},
    }


async def test_what_is_needed_is_read_and_nothing_else() -> None:
    gathering = Gathering()
    gathering.secret()
    seen = await gathering.read()
    assert gathering.cluster.requests == []
    assert seen == gathering.observe()
    assert seen.unread_secrets == ("cert",)
    seen = await gathering.read(SECRET, CONFIG_MAP)
    assert gathering.cluster.requests == [("GET", "Secret", "cert"), ("GET", "ConfigMap", "alerts-1")]
    assert seen.read == {SECRET, CONFIG_MAP}
    assert (set(seen.secrets), seen.unread_secrets, seen.children) == ({"cert"}, (), {})


async def test_needs_are_asked_for_until_there_are_none() -> None:
    gathering = Gathering()
    rounds: list[frozenset[Need]] = []

    def needs(seen: PushDomainSnapshot) -> tuple[Need, ...]:
        rounds.append(seen.read)
        order = (SECRET, CONFIG_MAP)
        return order[len(rounds) - 1 : len(rounds)]

    await gathering.gatherer.gather(gathering.observe(), needs)
    assert rounds == [frozenset(), {SECRET}, {SECRET, CONFIG_MAP}]


async def test_who_needs_the_same_for_ever_is_stopped() -> None:
    gathering = Gathering()
    with pytest.raises(AssertionError):
        await gathering.gatherer.gather(gathering.observe(), lambda _: (SECRET,))
    assert len(gathering.cluster.requests) == 1


async def test_contents_of_a_secret_are_kept_until_its_version_changes() -> None:
    gathering = Gathering()
    gathering.secret()
    await gathering.read(SECRET)
    assert set(gathering.observe().secrets) == {"cert"}
    gathering.cache.secrets.put("default", "cert", "2")
    assert gathering.observe().unread_secrets == ("cert",)
    # Its watch may tell of another version than the one that is read: it is used all the same.
    assert set((await gathering.read(SECRET)).secrets) == {"cert"}
    gathering.cache.secrets.remove("default", "cert")
    assert (gathering.observe().secrets, gathering.observe().unread_secrets) == ({}, ())


async def test_hooks_are_read_by_their_version_and_are_no_children() -> None:
    gathering = Gathering()
    document = push_domain(policy={"configMapName": "hooks"})
    document["metadata"]["generation"] = 2
    gathering.cache.put(document)
    assert gathering.observe().unread_config_maps == (), "there is none"
    gathering.cache.config_maps.put("default", "hooks", "0")
    assert gathering.observe().unread_config_maps == ("hooks",)
    need = Hooks("default", "hooks")
    seen = await gathering.read(need)
    assert (seen.config_maps, seen.unread_config_maps, seen.children) == ({}, (), {})
    metadata = {"name": "hooks", "namespace": "default"}
    data = {"policy.py": "# hooks", "other": "text that nobody reads"}
    written = gathering.cluster.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    )
    version = written["metadata"]["resourceVersion"]
    gathering.cache.config_maps.put("default", "hooks", version)
    seen = await gathering.read(need)
    wanted = ConfigMap("hooks", version, {"policy.py": "# hooks", "other": ""})
    assert (seen.config_maps, seen.unread_config_maps, seen.children) == ({"hooks": wanted}, (), {})
    assert gathering.observe().config_maps == {"hooks": wanted}
    gathering.cache.config_maps.put("default", "hooks", "99")
    assert gathering.observe().unread_config_maps == ("hooks",)


async def test_a_child_that_is_ours_is_kept_and_one_that_is_not_is_only_seen() -> None:
    gathering = Gathering()
    gathering.cluster.put(config_map())
    seen = await gathering.read(CONFIG_MAP)
    assert seen.children[CONFIG_MAP].body == gathering.cluster.get_now("ConfigMap", "alerts-1")
    assert gathering.observe().children == {}
    gathering.cluster.put(config_map(**Names.labels("alerts")))
    seen = await gathering.read(CONFIG_MAP)
    assert gathering.observe().children == seen.children


async def test_a_child_that_is_gone_is_forgotten() -> None:
    gathering = Gathering()
    meta = read_meta(gathering.cluster.put(config_map(**Names.labels("alerts"))), "ConfigMap")
    gathering.cache.put_meta(meta)
    assert gathering.observe().children[CONFIG_MAP].body is None
    del gathering.cluster.objects["ConfigMap", "default", "alerts-1"]
    assert (await gathering.read(CONFIG_MAP)).children == {}
    assert gathering.observe().children == {}


async def test_pods_are_listed_then_asked() -> None:
    gathering = Gathering()
    document = gathering.cluster.put(pod("alerts-1", "10.0.0.1", Names.labels("alerts")))
    gathering.cache.put_meta(read_meta(document, "Pod"))
    gathering.pods.reports["10.0.0.1"] = PodReport("digest")
    assert gathering.observe().pods[0].stale
    seen = await gathering.read(PodList(OWNER, Names.CHILD_SELECTOR))
    assert (seen.pods[0].stale, seen.pods[0].ready, seen.pods[0].report) == (False, True, None)
    url = seen.pods[0].url
    assert url is not None
    seen = await gathering.read(PodMetrics(OWNER, seen.pods[0].meta.uid, url))
    assert seen.pods[0].report == PodReport("digest")
    assert gathering.pods.asked == [url]


async def test_what_cannot_be_read_ends_the_reconcile() -> None:
    gathering = Gathering()
    gathering.cluster.fail = lambda *_: ApiError(503, "busy")
    with pytest.raises(ApiError):
        await gathering.read(SECRET)


def test_a_route_is_seen_with_its_secrets_and_users() -> None:
    gathering = Gathering()
    gathering.secret()
    seen = observe_referenced(gathering.cache, Key("ApnRoute", "default", "apns"), route(), NOW)
    assert (seen.users, seen.unread_secrets) == (("alerts",), ("cert",))


def test_what_is_not_base64_counts_as_empty() -> None:
    document = {"metadata": {"name": "a", "resourceVersion": "3"}, "data": {"x": "eA==", "y": "%", "z": None}}
    secret = read_secret(document)
    assert (secret.version, dict(secret.data)) == ("3", {"x": b"x", "y": b"", "z": b""})
    assert "eA==" not in repr(secret)


async def test_a_secret_that_has_gone_meanwhile_is_not_asked_for_again() -> None:
    gathering = Gathering()
    gathering.cache.secrets.put("default", "cert", "1")
    seen = await gathering.read(SECRET)
    assert (seen.unread_secrets, dict(seen.secrets)) == ((), {})
    assert SECRET in seen.read


async def test_pods_are_asked_all_at_once() -> None:
    gathering = Gathering()
    gathering.pods.reports["10.0.0.1"] = PodReport(digest="ab")
    addresses = ("10.0.0.1", "10.0.0.2")
    await gathering.read(*(PodMetrics(OWNER, f"uid-{ip}", f"http://{ip}:9090/metrics") for ip in addresses))
    assert len(gathering.pods.asked) == 2
    assert gathering.cache.report("uid-10.0.0.1") == PodReport(digest="ab")


def test_what_surrounds_an_object() -> None:
    gathering = Gathering()
    gathering.secret()
    seen = gathering.observe()
    assert seen.routes.keys() == {"apns"}
    assert seen.unread_secrets == ("cert",)


async def test_what_is_told_of_an_object_is_its_last_event(cluster: FakeCluster) -> None:
    about = Key("PersistentVolumeClaim", "default", "queue-alerts-0")
    gatherer = Gatherer(cluster, Cache(), FakePods())

    async def told() -> str:
        seen = await gatherer.gather(
            snapshot("first-publish"), lambda seen: () if seen.told else (LastEvent(about),)
        )
        return seen.told[about]

    assert await told() == ""
    for number, (name, time, message) in enumerate(
        (
            (about.name, "2026-11-23T12:00:00Z", "old"),
            (about.name, "2026-11-23T12:00:09Z", "no class"),
            ("x", "9", "x"),
        )
    ):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"event-{number}", "namespace": "default"},
            "involvedObject": {"kind": about.kind, "name": name},
            "reason": "ProvisioningFailed",
            "message": message,
            "lastTimestamp": time,
        }
        cluster.put(event)
    assert await told() == "ProvisioningFailed: no class"
    cluster.fail = lambda verb, *_: ApiError(403, "forbidden") if verb == "LIST" else None
    assert await told() == ""
    cluster.fail = lambda verb, *_: ApiError(500, "no") if verb == "LIST" else None
    with pytest.raises(ApiError):
        await told()
