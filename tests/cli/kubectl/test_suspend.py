from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from tests.cli.kubectl.recorded import Recorded
from tests.cli.kubectl.situation import situation
from tubepost_api.suspension import read
from tubepost_cli.kubectl.suspend import command
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


def run(cluster: Recorded, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["alerts", *arguments], obj=cluster)


def test_it_is_suspended_with_a_reason_and_said_that_nothing_ends_it() -> None:
    cluster = situation()
    done = run(cluster, "--reason", "INC-7", "--by", "alice")
    assert done.exit_code == 0, done.output
    assert "nothing ends it by itself" in done.output
    suspension = read(cluster.object(PUSH_DOMAINS, "alerts"))
    assert suspension is not None
    assert (suspension.by, suspension.reason, suspension.until) == ("alice", "INC-7", "")


def test_twice_has_the_new_reason() -> None:
    cluster = situation()
    run(cluster, "--reason", "first")
    run(cluster, "--reason", "second")
    suspension = read(cluster.object(PUSH_DOMAINS, "alerts"))
    assert suspension is not None
    assert suspension.reason == "second"


def test_with_a_duration_the_object_says_when_it_ends() -> None:
    cluster = situation()
    before = datetime.now(UTC)
    done = run(cluster, "--reason", "INC-7", "--for", "1h30m")
    assert done.exit_code == 0, done.output
    assert "the operator ends it then, `kubectl tubepost resume alerts` sooner" in done.output
    assert cluster.patched == 1
    suspension = read(cluster.object(PUSH_DOMAINS, "alerts"))
    assert suspension is not None
    assert suspension.ends is not None
    lasts = suspension.ends - before
    assert timedelta(minutes=89) < lasts < timedelta(hours=2)


def test_another_end_can_be_named() -> None:
    cluster = situation()
    run(cluster, "--reason", "INC-7", "--for", "1h")
    run(cluster, "--reason", "INC-7")
    suspension = read(cluster.object(PUSH_DOMAINS, "alerts"))
    assert suspension is not None
    assert suspension.until == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reason", " "], "--reason TEXT is needed"),
        ([], "--reason"),
        (["--reason", "x", "--for", "soon"], "is not a duration"),
        (["--reason", "x", "--for", "0s"], "longer"),
    ],
)
def test_what_is_wrong_changes_nothing(arguments: list[str], words: str) -> None:
    cluster = situation()
    done = run(cluster, *arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert cluster.patched == 0


def test_without_the_right_it_is_said() -> None:
    cluster = situation()
    cluster.forbidden.add(f"patch {PUSH_DOMAINS}")
    done = run(cluster, "--reason", "INC-7")
    assert done.exit_code == 77
    assert "not allowed" in done.output
