from __future__ import annotations

import copy

import pytest

from tests.cli.kubectl.recorded import Recorded, recorded
from tubepost_cli.kubectl.cluster import NotFound
from tubepost_cli.kubectl.targets import PUSH_DOMAINS, asked, find, pods_of


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


def test_without_pods_it_is_said_what_to_look_at(cluster: Recorded) -> None:
    cluster.kinds["pods"] = []
    with pytest.raises(NotFound, match="kubectl tubepost status alerts"):
        find(cluster, ["alerts"])
    with pytest.raises(NotFound, match="Another namespace"):
        find(cluster)


def test_a_pod_that_does_not_run_is_not_asked(cluster: Recorded) -> None:
    status = cluster.kinds["pods"][0]["status"]["containerStatuses"][0]
    status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    able, problems = asked(find(cluster))
    assert len(able) == 1
    assert len(problems) == 1
    assert "does not run; `kubectl describe pod" in problems[0]
