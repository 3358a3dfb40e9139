from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.cli.kubectl.recorded import Recorded, recorded
from tubepost_cli.kubectl.cluster import Document, NotFound
from tubepost_cli.kubectl.targets import LOGGERS, PUSH_DOMAINS, ROUTES, asked, find, named, pods_of


@pytest.fixture
def cluster() -> Recorded:
    return Recorded({"pods": recorded("pods"), PUSH_DOMAINS: recorded("pushdomains")})


def test_a_dispatchers_pod_as_the_operator_makes_it(cluster: Recorded) -> None:
    first, second = pods_of(cluster.objects("pods"))
    assert first.push_domain == second.push_domain == "alerts"
    assert (first.container, first.admin_port, first.http_port, first.smtp_port) == (
        "dispatcher",
        9091,
        9090,
        None,
    )
    assert first.running
    assert first.ready
    assert not first.sidecar


def test_a_sidecar_has_its_own_ports() -> None:
    pod = copy.deepcopy(recorded("pods")[0])
    pod["metadata"]["labels"] = {"tubepost.io/inject": "alerts", "app": "shop"}
    pod["metadata"]["annotations"] = {
        "tubepost.io/sidecar-http-port": "3000",
        "tubepost.io/sidecar-smtp-port": "2600",
    }
    box = pod["spec"]["containers"].pop()
    pod["spec"]["initContainers"] = [{**box, "name": "tubepost-dispatcher"}]
    states = pod["status"].pop("containerStatuses")
    pod["status"]["initContainerStatuses"] = [{**states[0], "name": "tubepost-dispatcher"}]
    (found,) = pods_of([pod])
    assert found.sidecar
    assert found.running
    assert (found.admin_port, found.http_port, found.smtp_port) == (3001, 3000, 2600)
    del pod["metadata"]["annotations"]["tubepost.io/sidecar-http-port"]
    assert pods_of([pod])[0].admin_port == 2591


def test_pods_that_are_over_or_have_no_dispatcher_are_none() -> None:
    done, other = (copy.deepcopy(one) for one in recorded("pods"))
    done["status"]["phase"] = "Succeeded"
    other["spec"]["containers"][0]["name"] = "something"
    assert pods_of([done, other]) == []


@pytest.mark.parametrize("place", ["alerts", "pushdomain/alerts", "pd/alerts", "PushDomain/alerts"])
def test_a_push_domain_means_all_its_pods(cluster: Recorded, place: str) -> None:
    assert len(find(cluster, [place])) == 2


def test_a_pod_means_itself(cluster: Recorded) -> None:
    name = cluster.objects("pods")[1]["metadata"]["name"]
    assert [pod.name for pod in find(cluster, [f"pod/{name}"])] == [name]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("pod/none", "pod none has no dispatcher"),
        ("pushdomain/none", "none not found"),
        ("deployment/alerts", "name a PushDomain or a pod"),
    ],
)
def test_what_is_not_there_is_said(cluster: Recorded, place: str, words: str) -> None:
    with pytest.raises(NotFound, match=words):
        find(cluster, [place])


def elsewhere(name: str, namespace: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"domains": []}}


def test_a_name_that_is_mistyped_is_answered_with_the_one_that_was_meant(cluster: Recorded) -> None:
    with pytest.raises(
        NotFound, match=r"PushDomain alrts not found in this namespace. Did you mean alerts\?"
    ):
        named(cluster, "alrts")
    with pytest.raises(NotFound, match=r"Did you mean alerts\?"):
        find(cluster, ["pushdomain/alert"])
    name = cluster.objects("pods")[0]["metadata"]["name"]
    with pytest.raises(NotFound, match=rf"Did you mean pod/{name}\?"):
        find(cluster, [f"pod/{name[:-1]}"])


def test_a_name_that_is_like_none_is_answered_with_those_that_there_are(cluster: Recorded) -> None:
    with pytest.raises(NotFound, match=r"There is alerts\."):
        named(cluster, "zzz")
    cluster.kinds[PUSH_DOMAINS] += [elsewhere(f"news{number}", "shop") for number in range(6)]
    with pytest.raises(NotFound, match=r"There are alerts, news0, news1, news2, news3, and 2 more\."):
        named(cluster, "zzz")


@pytest.mark.parametrize(("kind", "title"), [(ROUTES, "ApnRoute"), (LOGGERS, "ApnLogger")])
def test_the_name_of_another_kind_is_known_as_that(cluster: Recorded, kind: str, title: str) -> None:
    cluster.kinds[kind] = [elsewhere("zebra", "shop")]
    with pytest.raises(NotFound, match=rf"It is an {title}: `kubectl describe {kind} zebra`"):
        named(cluster, "zebra")
    cluster.kinds[PUSH_DOMAINS][0]["spec"]["domains"][0]["routes"] = ["zebra"]
    with pytest.raises(NotFound, match=rf"It is an {title} of PushDomain alerts: "):
        named(cluster, "zebra")


def test_a_namespace_that_is_mistyped_or_forgotten_is_named(cluster: Recorded) -> None:
    cluster.kinds[PUSH_DOMAINS] = []
    cluster.elsewhere = [elsewhere("alerts", "shop"), elsewhere("news", "press")]
    with pytest.raises(NotFound, match=r"There are some in other namespaces: -n shop\."):
        named(cluster, "alerts")
    cluster.namespace = "shpo"
    with pytest.raises(NotFound, match=r"Did you mean -n shop\?"):
        named(cluster, "alerts")
    cluster.forbidden.add("everywhere")
    with pytest.raises(NotFound, match=r"Another namespace \(-n\)"):
        named(cluster, "alerts")


def test_a_hint_needs_no_right(cluster: Recorded) -> None:
    class Narrow(Recorded):
        def object(self, kind: str, name: str) -> Document:
            raise NotFound(f"{kind} {name} not found")

    narrow = Narrow({})
    narrow.forbidden.add(PUSH_DOMAINS)
    with pytest.raises(NotFound, match="alrts not found"):
        named(narrow, "alrts")


def test_without_pods_it_is_said_what_to_look_at(cluster: Recorded) -> None:
    cluster.kinds["pods"] = []
    with pytest.raises(NotFound, match="kubectl tubepost status alerts"):
        find(cluster, ["alerts"])
    with pytest.raises(NotFound, match=r"no pods with a dispatcher .*tubepost status. says why"):
        find(cluster)
    cluster.kinds[PUSH_DOMAINS] = []
    with pytest.raises(NotFound, match="Another namespace"):
        find(cluster)


def test_a_pod_that_does_not_run_is_not_asked(cluster: Recorded) -> None:
    status = cluster.kinds["pods"][0]["status"]["containerStatuses"][0]
    status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    able, problems = asked(find(cluster))
    assert len(able) == 1
    assert len(problems) == 1
    assert "does not run; `kubectl describe pod" in problems[0]
