from __future__ import annotations

from click.testing import CliRunner

from tests.cli.kubectl.situation import situation
from tubepost_api.suspension import Suspension, read
from tubepost_cli.kubectl.resume import command
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


def test_a_suspension_ends() -> None:
    cluster = situation()
    metadata = cluster.kinds[PUSH_DOMAINS][0]["metadata"]
    text = Suspension("alice", "INC-7", "2026-11-30T12:00:00Z", "").text()
    metadata["annotations"] = {**metadata.get("annotations", {}), "tubepost.io/suspended": text}
    done = CliRunner().invoke(command, ["pushdomain/alerts"], obj=cluster)
    assert done.output == "Delivery of PushDomain alerts goes on: its mode is Deliver.\n"
    assert read(cluster.object(PUSH_DOMAINS, "alerts")) is None


def test_what_its_own_spec_suspends_is_left_so_and_said() -> None:
    cluster = situation()
    cluster.kinds[PUSH_DOMAINS][0]["spec"]["delivery"]["mode"] = "Suspend"
    done = CliRunner().invoke(command, ["alerts"], obj=cluster)
    assert "stays suspended by its own spec. Remedy: set spec.delivery.mode: Deliver" in done.output
    assert cluster.patched == 0


def test_what_is_not_suspended_is_left_alone() -> None:
    cluster = situation()
    done = CliRunner().invoke(command, ["alerts"], obj=cluster)
    assert done.output == "Delivery of PushDomain alerts is not suspended: its mode is Deliver.\n"
    assert cluster.patched == 0
