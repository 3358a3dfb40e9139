from __future__ import annotations

from click.testing import CliRunner

from tests.cli.kubectl.situation import situation
from tubepost_cli.kubectl.resume import command
from tubepost_cli.kubectl.suspension import mode_of
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


def test_what_is_suspended_by_its_spec_alone_is_delivered_too() -> None:
    cluster = situation()
    cluster.kinds[PUSH_DOMAINS][0]["spec"]["delivery"]["mode"] = "Suspend"
    done = CliRunner().invoke(command, ["pushdomain/alerts"], obj=cluster)
    assert done.output == "Delivery of PushDomain alerts goes on: its mode is Deliver.\n"
    assert mode_of(cluster.object(PUSH_DOMAINS, "alerts")) == "Deliver"


def test_domains_that_are_suspended_by_their_own_spec_are_named() -> None:
    cluster = situation()
    domain = cluster.kinds[PUSH_DOMAINS][0]["spec"]["domains"][0]
    domain["delivery"] = {"mode": "Suspend"}
    done = CliRunner().invoke(command, ["alerts"], obj=cluster)
    assert f"Suspended by its own spec, and left so: {domain['name']}." in done.output


def test_what_is_not_suspended_is_left_alone() -> None:
    cluster = situation()
    done = CliRunner().invoke(command, ["alerts"], obj=cluster)
    assert done.output == "Delivery of PushDomain alerts is not suspended: its mode is Deliver.\n"
    assert cluster.patched == 0
