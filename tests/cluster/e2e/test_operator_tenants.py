"""One tenant never stops another: what a namespace, a quota, an image or an old Secret keeps from being served is said
in its own place, everything else goes on, and all of it recovers by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster.e2e.operating import Operated, certificate, figure, secret
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster

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


def test_a_namespace_that_is_deleted_and_a_role_that_is_taken_away_stop_no_other(
    operated: Operated, cluster: Cluster
) -> None:
    with cluster.namespace("tenant-two") as two, cluster.namespace("tenant-three") as three:
        watched = {"watch": {"namespaces": [operated.namespace, two, three]}}
        operated.install(watched)
        with operated.traffic(rate=20) as traffic:
            cluster.kubectl("delete", "namespace", two, "--timeout=60s")
            bindings = cluster.get("rolebindings", f"--namespace={three}")["items"]
            for binding in bindings:
                cluster.kubectl("delete", "rolebinding", binding["metadata"]["name"], f"--namespace={three}")

            def refused() -> bool:
                text = cluster.logs(operated.namespace, f"deployment/{operated.release.name}", "--tail=-1")
                return all(f"secrets in {name} cannot be watched: 403" in text for name in (two, three))

            cluster.until("both are said in the log", refused, timeout=120)
            # The rest is served meanwhile.
            operated.patch("pushdomain", "alerts", delivery={"expiry": "2h"})
            operated.ready()
            # Whoever gives back the permissions need not restart anything.
            kept = [
                {**item, "metadata": {"name": item["metadata"]["name"], "namespace": three}}
                for item in bindings
            ]
            cluster.apply(kept, f"--namespace={three}")
            cluster.kubectl(
                "apply",
                f"--namespace={three}",
                "-f",
                "-",
                stdin=json.dumps(operated.push_domain("later", routes=["none"], loggers=[])),
            )
            cluster.until(
                "it is looked after again",
                lambda: cluster.get("pushdomain", "later", f"--namespace={three}").get("status"),
                timeout=60,
            )
            traffic.more()
        traffic.check(reconnects=False)
        for pod in operated.operators():
            state = operated.get("pod", pod)["status"]["containerStatuses"][0]
            assert state["restartCount"] == 0
        figure("two namespaces of three refused: 0 refused, 0 lost in the third, no restart")
