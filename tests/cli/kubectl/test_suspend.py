from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from tests.cli.kubectl.recorded import Recorded
from tests.cli.kubectl.situation import situation
from tubepost_cli.kubectl.suspend import command
from tubepost_cli.kubectl.suspension import mode_of, read
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The command's own are its process's, which this one is not."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def run(cluster: Recorded, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["alerts", *arguments], obj=cluster)


def test_it_is_suspended_with_a_reason_and_said_that_nothing_ends_it() -> None:
    cluster = situation()
    done = run(cluster, "--reason", "INC-7", "--by", "alice")
    assert done.exit_code == 0, done.output
    assert "nothing ends it by itself" in done.output
    found = cluster.object(PUSH_DOMAINS, "alerts")
    assert mode_of(found) == "Suspend"
    suspension = read(found)
    assert suspension is not None
    assert (suspension.by, suspension.reason, suspension.until, suspension.mode) == (
        "alice",
        "INC-7",
        "",
        "Deliver",
    )


def test_twice_keeps_what_was_before_and_has_the_new_reason() -> None:
    cluster = situation()
    run(cluster, "--reason", "first")
    run(cluster, "--reason", "second")
    suspension = read(cluster.object(PUSH_DOMAINS, "alerts"))
    assert suspension is not None
    assert (suspension.reason, suspension.mode) == ("second", "Deliver")


def test_with_a_duration_it_ends_by_itself() -> None:
    cluster = situation()
    done = run(cluster, "--reason", "INC-7", "--for", "50ms")
    assert done.exit_code == 0, done.output
    assert "This command has to stay" in done.output
    assert "goes on: its mode is Deliver" in done.output
    assert cluster.patched == 2
    assert mode_of(cluster.object(PUSH_DOMAINS, "alerts")) == "Deliver"


def test_interrupted_it_ends_at_once() -> None:
    cluster = situation()
    here = threading.main_thread().ident
    assert here is not None

    def interrupt() -> None:
        # Not before the command takes it: until then it would end this process.
        while signal.getsignal(signal.SIGHUP) is not signal.default_int_handler:
            time.sleep(0.01)
        signal.pthread_kill(here, signal.SIGHUP)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    done = run(cluster, "--reason", "INC-7", "--for", "1h")
    thread.join(60)
    assert "goes on: its mode is Deliver" in done.output
    assert mode_of(cluster.object(PUSH_DOMAINS, "alerts")) == "Deliver"


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
