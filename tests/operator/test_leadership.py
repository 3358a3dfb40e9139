from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from tests.operator.conftest import furnish, made, start
from tests.operator.fake import FakeCluster
from tests.operator.objects import logger, push_domain, route, secret_document
from tubepost_operator import own_watch
from tubepost_operator.api import ApiError
from tubepost_operator.kinds import OWN, RELATED
from tubepost_operator.names import Names
from tubepost_operator.observed import Document, Key
from tubepost_operator.settings import ReleaseSettings


async def test_a_change_between_list_and_watch_is_not_missed(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
    watch = cluster.watch_own
    status_sent = asyncio.Event()

    def note(verb: str, _: str, name: str) -> None:
        if (verb, name) == ("PATCH", "alerts/status"):
            status_sent.set()

    def edit(document: Document) -> None:
        document["spec"]["podTemplate"] = {"labels": {"team": "push"}}

    async def watch_late(*given: Any) -> None:
        cluster.edit("PushDomain", "alerts", edit)
        await status_sent.wait()
        await watch(*given)

    cluster.fail = note
    monkeypatch.setattr(cluster, "watch_own", watch_late)
    # A new release gives the operator something to say before it knows of the edit.
    async with start(cluster, release=ReleaseSettings(image="new:1")) as running:
        await running.until(
            lambda: cluster.get_now("Deployment", "alerts")["spec"]["template"]["metadata"]["labels"].get(
                "team"
            )
        )
        await running.until(
            lambda: cluster.get_now("PushDomain", "alerts")["status"]["observedGeneration"] == 2
        )
        text = generate_latest(running.metrics.registry).decode()
    # What it said was made of the version that it had listed, and was refused.
    assert 'tubepost_operator_errors_total{class="conflict",kind="PushDomain"}' in text


async def test_each_namespace_has_its_watches(cluster: FakeCluster) -> None:
    async with start(cluster, namespaces=("one", "two")):
        watched = sorted((kind, selector) for verb, kind, selector in cluster.requests if verb == "WATCH")
    children = [(kind, Names.CHILD_SELECTOR) for kind in RELATED]
    pods = [("Pod", Names.CHILD_SELECTOR), ("Pod", Names.INJECT_LABEL)]
    named = [("Secret", ""), ("ConfigMap", Names.FOREIGN_SELECTOR)]
    assert watched == sorted([*children, *pods, *named] * 2)


HOOKS = "def apn_status_classifier(status): ...\n"


def hooks(**data: str) -> Document:
    metadata = {"name": "hooks", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def policy_of(cluster: FakeCluster) -> str | None:
    """The hooks in the configuration that is published."""
    for (kind, _, _), found in cluster.objects.items():
        if kind == "ConfigMap" and Names.CONFIG_KEY in found["data"]:
            source: str | None = json.loads(found["data"][Names.CONFIG_KEY]).get("policy", {}).get("source")
            return source
    return None


async def test_hooks_are_published_and_the_last_good_ones_stay(cluster: FakeCluster) -> None:
    furnish(cluster)

    def use(document: Document) -> None:
        document["spec"]["policy"] = {"configMapName": "hooks"}

    async def references(running: Any, *wanted: str) -> None:
        await running.until(lambda: cluster.condition("alerts", "ReferencesResolved") == wanted)

    async with start(cluster) as running:
        await made(running)
        cluster.edit("PushDomain", "alerts", use)
        await references(running, "False", "ConfigMapNotFound")
        assert policy_of(cluster) is None, "what serves goes on without"
        cluster.put(hooks(other=""))
        await references(running, "False", "KeyMissing")
        cluster.put(hooks(**{"policy.py": HOOKS}))
        await references(running, "True", "Resolved")
        await running.until(lambda: policy_of(cluster) == HOOKS)
        cluster.put(hooks(**{"policy.py": HOOKS + "def"}))
        await references(running, "False", "PolicyInvalid")
        assert policy_of(cluster) == HOOKS
        cluster.put(hooks(**{"policy.py": HOOKS + "# mended"}))
        await references(running, "True", "Resolved")
        await running.until(lambda: policy_of(cluster) == HOOKS + "# mended")
        cluster.remove("ConfigMap", "hooks")
        await references(running, "False", "ConfigMapNotFound")
        assert policy_of(cluster) == HOOKS + "# mended"


async def test_config_maps_of_others_are_not_read(cluster: FakeCluster) -> None:
    furnish(cluster)
    async with start(cluster) as running:
        await made(running)
        await running.rest()
        cluster.requests.clear()
        cluster.put(hooks(**{"policy.py": HOOKS}))
        await running.rest()
        assert cluster.requests == []


async def test_a_resync_makes_up_for_what_a_watch_missed(cluster: FakeCluster) -> None:
    async with start(cluster, resync=0.05) as running:
        await running.rest()
        watches, cluster.owns = cluster.owns, {}
        cluster.put(logger())
        cluster.owns = watches
        await running.until(lambda: running.leadership.cache.get(Key("ApnLogger", "default", "log")))
        await running.until(lambda: cluster.condition("log", of="ApnLogger") == ("True", "NotUsed"))


FORBIDDEN = ApiError(
    403, 'secrets is forbidden: User "operator" cannot list resource "secrets" in namespace "one"'
)


def furnish_in(cluster: FakeCluster, namespace: str) -> None:
    cluster.put(secret_document(namespace=namespace))
    cluster.put(route(namespace=namespace))
    cluster.put(push_domain(namespace=namespace, replicas=0))


def conditions(cluster: FakeCluster, namespace: str) -> dict[str, tuple[str, str, str]]:
    status = cluster.get_now("PushDomain", "alerts", namespace).get("status", {})
    return {
        item["type"]: (item["status"], item["reason"], item["message"])
        for item in status.get("conditions", ())
    }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_watch, "LOOK", 0.02)
    monkeypatch.setattr(own_watch, "_RETRIES", own_watch.Exponential(0.01, 0.05))


@pytest.mark.usefixtures("quick")
async def test_a_namespace_that_is_gone_stops_no_other(cluster: FakeCluster) -> None:
    kinds = ["Secret", *RELATED, "Pod", *OWN]
    for kind in kinds:
        cluster.refused[kind, "one"] = FORBIDDEN
    furnish_in(cluster, "one")
    furnish_in(cluster, "two")
    async with start(cluster, namespaces=("one", "two")) as running:
        await running.until(lambda: conditions(cluster, "two").get("Ready", ("",))[0] == "True")
        assert conditions(cluster, "one") == {}
        assert "secrets in one" in running.leadership.cache.access.names()
        assert running.leadership.blind == ""
        # It is back, and nobody has to restart anything.
        for kind in kinds:
            cluster.permit(kind, "one")
        await running.until(lambda: conditions(cluster, "one").get("Ready", ("",))[0] == "True")
        assert running.leadership.cache.access.names() == ()


@pytest.mark.usefixtures("quick")
async def test_what_cannot_be_watched_any_more_is_said_and_what_runs_stays(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    furnish_in(cluster, "one")
    furnish_in(cluster, "two")
    async with start(cluster, namespaces=("one", "two")) as running:
        await running.until(lambda: conditions(cluster, "one").get("Ready", ("",))[0] == "True")
        await running.until(lambda: conditions(cluster, "two").get("Ready", ("",))[0] == "True")
        await running.rest()
        before = {key: value for key, value in cluster.objects.items() if key[0] in RELATED}
        cluster.refuse("Secret", "one", FORBIDDEN)
        await running.until(lambda: conditions(cluster, "one")["Programmed"][:2] == ("False", "NoAccess"))
        await running.rest()
        message = conditions(cluster, "one")["Ready"][2]
        assert "secrets in one cannot be watched: 403" in message
        assert "Remedy: if namespace one exists, let the operator get" in message
        assert conditions(cluster, "two")["Ready"][0] == "True"
        assert {key: value for key, value in cluster.objects.items() if key[0] in RELATED} == before
        assert [record for record in caplog.records if "secrets in one cannot be watched" in record.message]
        cluster.permit("Secret", "one")
        await running.until(lambda: conditions(cluster, "one")["Ready"][0] == "True")


@pytest.mark.usefixtures("quick")
async def test_secrets_that_were_never_seen_are_not_said_to_be_missing(cluster: FakeCluster) -> None:
    furnish_in(cluster, "one")
    async with start(cluster, namespaces=("one",)) as running:
        await running.until(lambda: conditions(cluster, "one").get("Ready", ("",))[0] == "True")
    cluster.refused["Secret", "one"] = FORBIDDEN
    async with start(cluster, namespaces=("one",)) as running:
        await running.until(lambda: conditions(cluster, "one")["Ready"][1] == "NoAccess")
        found = conditions(cluster, "one")
        assert found["ReferencesResolved"][0] == "True"
        assert "cannot list resource" in found["Programmed"][2]
        await running.until(
            lambda: any(
                item["reason"] == "NoAccess"
                for item in cluster.get_now("ApnRoute", "apns", "one")["status"]["conditions"]
            )
        )


@pytest.mark.usefixtures("quick")
async def test_definitions_that_come_later_are_served(cluster: FakeCluster) -> None:
    gone = ApiError(404, "the server could not find the requested resource")
    for kind in OWN:
        cluster.refused[kind, None] = gone
    async with start(cluster) as running:
        assert "crds/" in running.leadership.blind
        for kind in OWN:
            cluster.permit(kind, None)
        furnish(cluster)
        await made(running)
        assert running.leadership.blind == ""
