"""One tenant never stops another: what a namespace, a quota, an image or an old Secret keeps from being served is said
in its own place, everything else goes on, and all of it recovers by itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.cluster.e2e.operating import Document, Operated, certificate, figure, secret
from tests.cluster.e2e.release import Release
from tests.cluster.handle import RESTRICTED, Cluster

pytestmark = pytest.mark.xdist_group("tenants")
"""On one worker: they share an installation."""
TROUBLE = float(os.environ.get("TUBEPOST_TROUBLE_SECONDS", "45"))
"""Seconds for which troubles of other namespaces last; 600 for a long look."""
SECOND = {"domains": [{"name": "second.example.com"}], "routes": ["apns"]}


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with cluster.namespace("tenants") as name:
        found = Operated(Release(cluster, name, tmp_path_factory.mktemp("release")))
        found.install()
        yield found


def test_a_refusal_of_pods_is_in_the_condition_within_seconds_and_ends_by_itself(operated: Operated) -> None:
    cluster = operated.release.cluster
    cluster.kubectl("create", "quota", "none", operated.place, "--hard=pods=0")
    for name, spec, text in (
        ("quota", {}, "exceeded quota: none"),
        ("class", {"podTemplate": {"priorityClassName": "nobody"}}, "no PriorityClass with name nobody"),
    ):
        operated.apply(operated.push_domain(name, **SECOND, **spec))
        cluster.until(
            f"{name} in the condition",
            lambda name=name, text=text: text in operated.condition(name=name)[2],
            timeout=20,
        )
        assert operated.condition(name=name)[1] == "PodsFail"
        assert "Remedy: " in operated.condition(name=name)[2]
    cluster.kubectl("delete", "quota", "none", operated.place)
    operated.ready("quota", timeout=90)
    operated.apply(operated.push_domain("image", **SECOND, podTemplate={"image": "localhost/nothing:1"}))
    cluster.until(
        "the image in the condition", lambda: "localhost/nothing:1" in operated.condition(name="image")[2]
    )
    for name in ("quota", "class", "image"):
        cluster.kubectl("delete", "pushdomain", name, operated.place)
    assert operated.condition()[0] == "True"


def test_an_immutable_secret_that_is_made_anew_reaches_the_pods(operated: Operated) -> None:
    cluster = operated.release.cluster
    # One whose only route needs it, and one that goes on by another route beside it.
    names = ("alone", "beside")
    for name in names:
        operated.apply({**secret(name, certificate()), "immutable": True})
        operated.apply(operated.route(name, certificate={"secretName": name}))
    domain = {"name": "fixed.example.com"}
    operated.apply(operated.push_domain("alone", domains=[domain], routes=["alone"]))
    both = [{**domain, "routes": ["beside"]}, {"name": "other.example.com"}]
    operated.apply(operated.push_domain("beside", domains=both))
    for name in names:
        operated.ready(name, timeout=90)
    before = {name: operated.pods(name)[0]["metadata"]["uid"] for name in names}
    for name in names:
        cluster.kubectl("delete", "secret", name, operated.place)
        operated.apply({**secret(name, certificate()), "immutable": True})
    for name in names:
        cluster.until(
            f"it is said of {name}",
            lambda name=name: operated.condition("Programmed", name)[1] == "StaleSecret",
            timeout=90,
        )
    assert "these routes send nothing: beside." in operated.condition("Programmed", "beside")[2]
    available = []

    def again() -> bool:
        status = operated.get("deployment", "beside").get("status", {})
        available.append(status.get("availableReplicas", 0))
        return all(operated.condition(name=name)[0] == "True" for name in names)

    # Ready again is what runs the new hash: pods are asked for it.
    cluster.until("both are ready again", again, timeout=180)
    assert min(available) >= 1
    for name, uid in before.items():
        assert uid not in [pod["metadata"]["uid"] for pod in operated.pods(name)]
        cluster.kubectl("delete", "pushdomain", name, operated.place)


@dataclass(frozen=True)
class Tenants:
    """Three namespaces beside the release's own, each with a PushDomain that sends to the release's simulator."""

    gone: Operated
    full: Operated
    locked: Operated
    of_all: Operated

    def settle(self, tenant: Operated) -> None:
        """Apply the PushDomain, and what it needs."""
        authorities = self.of_all.get("secret", f"{self.of_all.release.name}-simulator-credentials")
        name = authorities["metadata"]["name"]
        host = f"{self.of_all.release.name}-simulator.{self.of_all.namespace}.svc"
        tenant.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": authorities["data"]},
            secret("apns", certificate()),
            tenant.route(endpoint=f"https://{host}:2197"),
            tenant.logger(),
            tenant.push_domain(),
        )

    def permissions(self, tenant: Operated) -> list[Document]:
        """What gives the operator its permissions there, to be applied anew."""
        found = tenant.release.cluster.get("roles,rolebindings", tenant.place)["items"]
        return [
            {**item, "metadata": {"name": item["metadata"]["name"], "namespace": tenant.namespace}}
            for item in found
        ]

    def named(self) -> bool:
        """Whether the log and the metrics of the operator say what it may not watch, the condition what is refused."""
        of_all, cluster = self.of_all, self.of_all.release.cluster
        text = cluster.logs(of_all.namespace, f"deployment/{of_all.release.name}", "--tail=-1")
        (pod,) = of_all.operators()
        metrics = cluster.raw(f"/api/v1/namespaces/{of_all.namespace}/pods/{pod}:8080/proxy/metrics")
        lines = [line for line in metrics.splitlines() if line.startswith("tubepost_operator_watch_refused{")]
        status, reason, message = self.full.condition()
        return (
            all(
                f"secrets in {tenant.namespace} cannot be watched: 403" in text
                and any(tenant.namespace in line for line in lines)
                for tenant in (self.gone, self.locked)
            )
            and (status, reason) == ("False", "PodsFail")
            and "exceeded quota: none" in message
        )


@pytest.fixture
def tenants(operated: Operated, cluster: Cluster) -> Iterator[Tenants]:
    with contextlib.ExitStack() as stack:
        names = [
            stack.enter_context(cluster.namespace(f"tenant-{name}")) for name in ("gone", "full", "locked")
        ]
        operated.install({"watch": {"namespaces": [operated.namespace, *names]}})
        yield Tenants(
            *(Operated(replace(operated.release, namespace=name)) for name in names), of_all=operated
        )


@pytest.mark.timeout(TROUBLE + 600, func_only=True)
def test_troubles_of_three_namespaces_stop_no_fourth(
    operated: Operated, tenants: Tenants, cluster: Cluster
) -> None:
    gone, full, locked = tenants.gone, tenants.full, tenants.locked
    for tenant in (gone, locked):
        tenants.settle(tenant)
    for tenant in (gone, locked):
        tenant.ready(timeout=120)
    serving = [pod["metadata"]["uid"] for pod in locked.pods()]
    kept = {tenant.namespace: tenants.permissions(tenant) for tenant in (gone, locked)}
    with operated.traffic(rate=20) as traffic:
        began, hours = time.monotonic(), itertools.count(1)
        cluster.kubectl("delete", "namespace", gone.namespace, "--timeout=90s")
        cluster.kubectl("create", "quota", "none", full.place, "--hard=pods=0")
        tenants.settle(full)
        cluster.kubectl("delete", "rolebindings", "--all", locked.place)
        locked.patch("pushdomain", "alerts", delivery={"expiry": "3h"})  # which nobody sees
        cluster.until("each trouble in its own place", tenants.named, timeout=120)
        # The rest is served all the time.
        changes = 0
        while time.monotonic() - began < TROUBLE or not changes:
            operated.patch("pushdomain", "alerts", delivery={"expiry": f"{next(hours)}h"})
            operated.ready()
            traffic.more(40)
            changes += 1
        assert tenants.named()
        assert [pod["metadata"]["uid"] for pod in locked.pods()] == serving
        assert "delivered: 250" in locked.send("who may not be looked after serves on")

        # Whoever ends a trouble need not restart anything.
        cluster.kubectl("delete", "quota", "none", full.place)
        metadata = {"name": gone.namespace, "labels": dict(RESTRICTED)}
        cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
        for place, permissions in kept.items():
            cluster.apply(permissions, f"--namespace={place}")
        tenants.settle(gone)
        ended = time.monotonic()
        for tenant in (full, locked, gone):
            tenant.ready(timeout=150)
        figure(
            f"{changes} changes in {ended - began:.0f} s of trouble; all well {time.monotonic() - ended:.0f} s after"
        )
        traffic.more()
    figure(str(traffic.check(reconnects=False)))
    for pod in operated.operators():
        state = operated.get("pod", pod)["status"]["containerStatuses"][0]
        assert state["restartCount"] == 0
