from __future__ import annotations

import json

from click.testing import CliRunner

from tests.cli.kubectl.situation import situation
from tubepost_cli.kubectl.status import command
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


def test_the_screen_for_people_has_no_colours_in_a_pipe() -> None:
    done = CliRunner().invoke(command, [], obj=situation())
    assert done.exit_code == 0, done.output
    assert "alerts  namespace" in done.output
    assert "\x1b" not in done.output
    assert "\x1b" in CliRunner().invoke(command, [], obj=situation(), color=True).output


def test_json_for_programs() -> None:
    done = CliRunner().invoke(command, ["pushdomain/alerts", "-o", "json"], obj=situation())
    document = json.loads(done.stdout)
    (found,) = document["pushDomains"]
    assert found["name"] == "alerts"
    assert found["suspended"] is None
    assert [pod["live"]["held"] for pod in found["pods"]] == [3, 3]
    assert document["routes"][0]["status"]["credential"] == "Certificate"
    assert document["problems"] == []


def test_what_is_missing_is_said_and_in_the_exit_status() -> None:
    cluster = situation()
    cluster.forbidden.add("pods/portforward")
    done = CliRunner().invoke(command, ["alerts"], obj=cluster)
    assert done.exit_code == 3
    assert "missing: " in done.stderr
    assert "alerts  namespace" in done.stdout


def test_a_push_domain_that_is_not_there() -> None:
    done = CliRunner().invoke(command, ["none"], obj=situation())
    assert done.exit_code == 1
    assert "none not found" in done.stderr


def test_a_namespace_without_any_says_where_there_are_some() -> None:
    cluster = situation()
    cluster.elsewhere, cluster.kinds[PUSH_DOMAINS] = cluster.kinds[PUSH_DOMAINS], []
    done = CliRunner().invoke(command, [], obj=cluster)
    assert done.exit_code == 0
    assert "No PushDomains in this namespace.\nThere are some in other namespaces: -n " in done.stdout
