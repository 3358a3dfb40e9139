from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.cli.kubectl.recorded import Recorded
from tests.cli.kubectl.situation import situation
from tubepost_cli.kubectl.cluster import ClusterFailed
from tubepost_cli.kubectl.logs import command


@pytest.fixture
def cluster() -> Recorded:
    made = situation()
    first, second = (pod["metadata"]["name"] for pod in made.kinds["pods"])
    made.lines = {
        first: ["2026-11-30T12:00:01Z one", "2026-11-30T12:00:03Z three"],
        second: ["2026-11-30T12:00:02Z two", "2026-11-30T12:00:04Z four and more"],
    }
    return made


def test_lines_of_all_pods_in_order_of_time(cluster: Recorded) -> None:
    done = CliRunner().invoke(command, ["alerts", "--since", "10m"], obj=cluster)
    assert done.exit_code == 0, done.output
    assert [line.partition(" ")[2] for line in done.output.splitlines()] == [
        "one",
        "two",
        "three",
        "four and more",
    ]
    assert {line.partition(" ")[0] for line in done.output.splitlines()} == set(cluster.lines)


def test_lines_as_they_come(cluster: Recorded) -> None:
    done = CliRunner().invoke(command, ["--follow"], obj=cluster)
    assert done.exit_code == 0
    assert len(done.output.splitlines()) == 4


def test_a_pod_without_a_log_is_said_and_the_others_are_shown(cluster: Recorded) -> None:
    logs = cluster.logs
    silent = cluster.kinds["pods"][0]["metadata"]["name"]

    def some(pod: str, *arguments: object, **options: object) -> object:
        if pod == silent:
            raise ClusterFailed("container is waiting to start")
        return logs(pod, *arguments, **options)  # type: ignore[arg-type]

    cluster.logs = some  # type: ignore[assignment, method-assign]
    done = CliRunner().invoke(command, ["alerts"], obj=cluster)
    assert done.exit_code == 3
    assert "two" in done.stdout
    assert f"pod {silent}: container is waiting to start" in done.stderr
