from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.operator.conftest import furnish, made, start
from tests.operator.fake import FakeCluster, FakePods
from tubepost_operator.api import ApiError
from tubepost_operator.cache import Cache
from tubepost_operator.metadata import read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key, PodDetails, PodReport
from tubepost_operator.scrape import Scraper
from tubepost_operator.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_live_facts_reach_the_status_coarsely(cluster: FakeCluster) -> None:
    furnish(cluster)
    pods = FakePods()
    async with start(cluster, pods) as running:
        await made(running)
        cluster.start_pod("alerts-1", ip="10.0.0.7")
        digest = cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"]
        pods.reports["10.0.0.7"] = PodReport(digest, sessions=2)
        await running.rest()
        now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        await running.leadership.scraper.scrape(now)
        delivered = {("apns", "delivered", "Delivered"): 1234.0, ("apns", "permanent", "BadDeviceToken"): 1.0}
        pods.reports["10.0.0.7"] = PodReport(digest, sessions=3, attempts=delivered, held=frozenset({"apns"}))
        await running.leadership.scraper.scrape(now + timedelta(seconds=60))
        await running.until(lambda: cluster.condition("alerts", "Delivering") == ("False", "RouteHeld"))
        live = cluster.get_now("PushDomain", "alerts")["status"]["live"]
        assert live["delivered"] == live["deliveredPerMinute"] == 1200
        assert live["lastError"] == "ApnRoute apns: BadDeviceToken (permanent)"
        assert live["heldRoutes"] == ["apns"]
        await running.rest()
        cluster.requests.clear()
        # The same counts a minute later: nothing is delivered any more, which is told once and then no more.
        for minute in (2, 3, 4):
            await running.leadership.scraper.scrape(now + timedelta(minutes=minute))
            await running.rest()
        assert len(cluster.writes()) == 1


def pod(name: str, ip: str, labels: Document) -> Document:
    port = {"name": "http", "containerPort": 9090}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "dispatcher", "ports": [port]}]},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    }


async def test_pods_cost_a_list_and_those_with_sidecars_another(cluster: FakeCluster) -> None:
    cache, changed = Cache(), list[Key]()
    scraper = Scraper(Settings(), cluster, cache, FakePods(), changed.extend)
    await scraper.scrape(NOW)
    assert cluster.requests == []
    cache.put_meta(read_meta(cluster.put(pod("alerts-1", "10.0.0.1", Names.labels("alerts"))), "Pod"))
    await scraper.scrape(NOW)
    assert cluster.requests == [("LIST", "Pod", Names.CHILD_SELECTOR)]
    assert changed == [Key("PushDomain", "default", "alerts")]
    cluster.requests.clear()
    cache.put_meta(read_meta(cluster.put(pod("web-1", "10.0.0.2", {Names.INJECT_LABEL: "alerts"})), "Pod"))
    await scraper.scrape(NOW)
    assert [name for _, _, name in cluster.requests] == [Names.CHILD_SELECTOR, Names.INJECT_LABEL]


async def test_what_was_read_of_a_pod_that_is_gone_is_forgotten(cluster: FakeCluster) -> None:
    cache = Cache()
    cache.set_details("uid-former", "1", PodDetails(True, "", "http://10.0.0.9:9090/metrics"))
    cache.set_report("uid-former", PodReport("digest"))
    await Scraper(Settings(), cluster, cache, FakePods(), lambda _: None).scrape(NOW)
    assert cache.report("uid-former") is None


async def test_a_route_by_which_nothing_is_delivered_is_told_to_all(cluster: FakeCluster) -> None:
    furnish(cluster)
    pods = FakePods()
    async with start(cluster, pods) as running:
        await made(running)
        cluster.start_pod("alerts-1", ip="10.0.0.7")
        digest = cluster.get_now("PushDomain", "alerts")["status"]["config"]["hash"]
        pods.reports["10.0.0.7"] = PodReport(digest)
        await running.rest()
        await running.leadership.scraper.scrape(NOW)
        failed = {("apns", "transient", "ConnectFailed"): 8.0}
        pods.reports["10.0.0.7"] = PodReport(digest, attempts=failed)
        await running.leadership.scraper.scrape(NOW + timedelta(seconds=60))
        await running.until(lambda: cluster.condition("alerts", "Delivering") == ("False", "RouteFails"))
        await running.until(
            lambda: cluster.condition("apns", "Delivering", of="ApnRoute") == ("False", "RouteFails")
        )
        pods.reports["10.0.0.7"] = PodReport(
            digest, attempts={**failed, ("apns", "delivered", "Delivered"): 1.0}
        )
        await running.leadership.scraper.scrape(NOW + timedelta(seconds=120))
        await running.until(lambda: cluster.condition("alerts", "Delivering")[0] == "True")
        await running.until(lambda: cluster.condition("apns", "Delivering", of="ApnRoute")[0] == "True")


async def test_a_namespace_whose_pods_may_not_be_listed_keeps_no_other_back(cluster: FakeCluster) -> None:
    cache, changed = Cache(), list[Key]()
    for namespace in ("one", "two"):
        document = pod(f"{namespace}-1", "10.0.0.1", Names.labels("alerts"))
        document["metadata"]["namespace"] = namespace
        cache.put_meta(read_meta(cluster.put(document), "Pod"))
    cluster.refused["Pod", "one"] = ApiError(403, "forbidden")
    settings = Settings(namespaces=("one", "two"))
    await Scraper(settings, cluster, cache, FakePods(), changed.extend).scrape(NOW)
    assert changed == [Key("PushDomain", "two", "alerts")]


async def test_pods_with_a_queue_are_asked_though_they_are_not_ready(cluster: FakeCluster) -> None:
    cache, pods = Cache(), FakePods()
    scraper = Scraper(Settings(), cluster, cache, pods, list[Key]().extend)
    labels = Names.labels("alerts")
    for number, said in enumerate(({}, {Names.QUEUE_ANNOTATION: "Claim"})):
        document = pod(f"alerts-{number}", f"10.0.0.{number}", labels)
        document["metadata"]["annotations"] = said
        document["status"]["conditions"] = []
        cache.put_meta(read_meta(cluster.put(document), "Pod"))
    await scraper.scrape(NOW)
    assert pods.asked == ["http://10.0.0.1:9090/metrics"]
