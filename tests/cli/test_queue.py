"""`tubepost queue` against a dispatcher in processes of its own, whose APNs is simulated."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.e2e.app import Dispatcher, wait_until
from tubepost_cli.message import push_message
from tubepost_cli.queue import command

pytestmark = pytest.mark.xdist_group("tubepost queue")

MANIFESTS = """
apiVersion: tubepost.io/v1alpha1
kind: PushDomain
metadata: {name: alerts}
spec:
  domains: [{name: push.example.com}, {name: other.example.com}]
  routes: [apns]
  acceptance: {mode: Queued}
  queue: {disk: {}}
  workers: 2
---
apiVersion: tubepost.io/v1alpha1
kind: ApnRoute
metadata: {name: apns}
spec:
  environment: Production
  topic: com.example.app
  certificate: {secretName: apns-certificate}
"""
BUSY = "dead4291" + "ab" * 28
"""A device token to which the simulator says TooManyRequests."""
GOOD = "cd" * 32


class Queue:
    """The command line, asked about one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def send(
        self,
        token: str = BUSY,
        *,
        sender: str = "news@example.com",
        domain: str = "push.example.com",
        expected: int = 250,
    ) -> str:
        """Inject a message; its id."""
        message = push_message(
            b'{"aps":{"alert":"Hello"}}', sender=sender, recipient=f"device@{domain}", token=token, headers={}
        )
        with smtplib.SMTP("127.0.0.1", int(self.dispatcher.found["port"])) as session:
            session.ehlo()
            session.mail(sender)
            session.rcpt(f"device@{domain}")
            code, text = session.data(message)
        found = re.search(rb"\b[0-9a-f]{25}\b", text)
        assert code == expected, text
        assert found, f"the reply names no message id: {text!r}"
        return found[0].decode()

    def __call__(self, *arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(command, [*arguments, "--port", self.dispatcher.found["admin"]])
        assert done.exit_code == status, done.output
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", status=status).stdout)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self("list", *arguments, "--json").stdout.splitlines()]

    def deferred(self, **values: Any) -> str:
        """Inject one that APNs refuses for now; its id, once it waits for the next attempt."""
        name = self.send(**values)
        wait_until(lambda: [one["state"] for one in self.listed(name)] == ["waiting"])
        return name


@pytest.fixture(scope="module")
def dispatcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dispatcher]:
    directory = tmp_path_factory.mktemp("queue")
    file = directory / "manifests.yaml"
    file.write_text(MANIFESTS)
    arguments = ("--simulator", "--queue-dir", str(directory / "queue"))
    with Dispatcher([file], *arguments) as running:
        yield running


@pytest.fixture
def queue(dispatcher: Dispatcher) -> Queue:
    made = Queue(dispatcher)
    made("drop", "--all", "--yes", "--reason", "the next test begins")
    return made


def test_the_life_of_a_message_from_its_250_to_its_end(queue: Queue) -> None:
    name = queue.send(GOOD)
    traced = wait_until(lambda: queue("trace", name).output if _known(queue, name, "delivered") else "")
    assert "received from news@example.com for device@push.example.com (client 127.0.0.1)" in traced
    assert "delivered, attempt 1 by apns" in traced
    (event,) = queue.json("trace", name)["events"]
    assert (event["event"], event["outcome"], event["tokenPrefix"]) == ("ended", "delivered", "cdcdcdcd")
    assert f"message {name}" in queue.dispatcher.output(), "its id is in the log"


def _known(queue: Queue, name: str, outcome: str) -> bool:
    done = CliRunner().invoke(command, ["trace", name, "--json", "--port", queue.dispatcher.found["admin"]])
    return any(one["outcome"] == outcome for one in json.loads(done.stdout)["events"])


def test_what_waits_is_counted_listed_shown_and_traced(queue: Queue) -> None:
    name = queue.deferred()
    queue.deferred(sender="other@example.com", domain="other.example.com")
    output = queue("summary").output
    assert "2 notifications: 0 due, 0 held; the oldest was accepted" in output
    assert re.search(r"^push\.example\.com +1 +0 +0 ", output, re.MULTILINE)
    assert re.search(r"^TooManyRequests +apns +2 ", output, re.MULTILINE)
    assert output.count("Partition 0") == 2
    document = queue.json("summary", "--domain", "PUSH.example.com")
    assert [one["notifications"] for one in document["groups"]] == [1]
    assert {one["state"] for one in document["partitions"]} == {"owned"}
    assert name in queue("list", "--sender", "news@example.com").output
    assert queue("list", "--sender", "nobody@example.com").output == "Nothing in the queue matches.\n"
    shown = queue("show", name).output
    assert re.search(r"^state: +waiting, next try in \d+m", shown, re.MULTILINE)
    assert "last reason:   TooManyRequests" in shown
    assert "Hello" not in shown + json.dumps(queue.json("show", name)), "a payload is nobody's business"
    assert BUSY not in shown + json.dumps(queue.json("show", name)) + output
    traced = queue("trace", name).output
    assert "failed for now: TooManyRequests (429), attempt 1 by apns; next try" in traced
    assert "in the queue: next try in" in traced


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--domain", "push.example.com"], 1),
        (["--route", "apns"], 2),
        (["--route", ""], 0),
        (["--last-reason", "TooManyRequests", "--sender", "news@example.com"], 1),
        (["--older-than", "1h"], 0),
        (["--younger-than", "1h"], 2),
        (["--held"], 0),
        (["--not-held"], 2),
        (["--limit", "1"], 1),
    ],
)
def test_filters(queue: Queue, arguments: list[str], count: int) -> None:
    queue.deferred()
    queue.deferred(sender="other@example.com", domain="other.example.com")
    assert len(queue.listed(*arguments)) == count


def test_a_hold_is_kept_until_it_is_released(queue: Queue) -> None:
    name = queue.deferred()
    other = queue.deferred(sender="other@example.com")
    output = queue("hold", "--sender", "news@example.com", "--reason", "wrong text", "--by", "alice").output
    assert "1 notification: 0 due, 0 held" in output
    assert output.endswith("1 held.\n")
    (shown,) = queue.json("show", name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ alice: wrong text", shown["hold"])
    assert (shown["state"], shown["nextTry"]) == ("held", None)
    assert "alice: wrong text" in queue("summary").output
    assert "1 made due" in queue("flush", "--all").output, "the other one"
    wait_until(lambda: queue.json("show", other)[0]["attempts"] == 2)
    assert queue.json("show", name)[0]["attempts"] == 1
    assert "1 released" in queue("release", name).output
    wait_until(lambda: queue.json("show", name)[0]["attempts"] == 2)
    assert "released by an operator" in queue("trace", name).output


def test_a_drop_is_a_dry_run_until_it_is_told_to_do_it(queue: Queue) -> None:
    name = queue.deferred()
    dry = queue("drop", "--domain", "push.example.com").output
    assert "1 notification: " in dry
    assert "Dry run: nothing was changed; --yes --reason TEXT does it." in dry
    assert len(queue.listed()) == 1
    refused = queue("drop", "--domain", "push.example.com", "--yes", status=2)
    assert "--reason TEXT is needed" in refused.output
    done = queue("drop", "--domain", "push.example.com", "--yes", "--reason", "INC-7", "--by", "alice").output
    assert done.endswith("1 dropped.\n")
    assert queue.listed() == []
    assert "failed for good: Dropped, attempt 1: dropped by an operator, " in queue("trace", name).output
    assert "dropped by alice (INC-7): domain='push.example.com'; push.example.com TooManyRequests: 1" in (
        queue.dispatcher.output()
    )
    dropped = [value for name, value in queue.dispatcher.metrics().items() if 'end="dropped"' in name]
    assert sum(dropped) >= 1


def test_dry_runs_of_the_others_change_nothing(queue: Queue) -> None:
    name = queue.deferred()
    for action in ("hold", "flush"):
        document = queue.json(action, "--all", "--dry-run")
        assert sum(one["notifications"] for one in document["counted"]) == 1
        assert document["changed"] == []
    assert "0 notifications match." in queue("release", "--all", "--dry-run").output
    (shown,) = queue.json("show", name)
    assert (shown["state"], shown["attempts"]) == ("waiting", 1)


def test_what_is_not_there(queue: Queue) -> None:
    assert "is not in this queue" in queue("show", "nowhere", status=1).output
    assert "is neither in this queue nor in its journal (kept beside the queue)" in (
        queue("trace", "nowhere", status=1).output
    )
    assert queue.json("trace", "nowhere", status=1) == {"id": "nowhere", "events": [], "notifications": []}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--older-than", "yesterday"], "olderThan: 'yesterday' is not a duration. Write it as 90s"),
        (["drop"], "Say what: ids, a filter such as --domain NAME, or --all."),
        (["drop", "m1", "--all"], "--all is everything"),
        (["hold", "--all"], "--reason TEXT is needed"),
        (["summary", "--admin", "localhost"], "is no URL"),
    ],
)
def test_what_is_refused(queue: Queue, arguments: list[str], words: str) -> None:
    assert words in queue(*arguments, status=2).output


def test_nobody_answers() -> None:
    done = CliRunner().invoke(command, ["summary", "--port", "1"])
    assert done.exit_code == 69
    assert "no dispatcher answers at http://127.0.0.1:1" in done.output
    assert "kubectl exec POD" in done.output


def test_the_port_of_metrics_is_not_the_admin_port(dispatcher: Dispatcher) -> None:
    done = CliRunner().invoke(command, ["summary", "--port", dispatcher.found["http"]])
    assert done.exit_code == 69
    assert "--port is the admin port" in done.output


def test_holds_and_journal_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(MANIFESTS)
    arguments = ("--simulator", "--queue-dir", str(tmp_path / "queue"))
    with Dispatcher([file], *arguments) as running:
        first = Queue(running)
        name, ended = first.deferred(), first.send(GOOD)
        wait_until(lambda: _known(first, ended, "delivered"))
        first("hold", "--all", "--reason", "why")
        assert running.stop() == 0
    with Dispatcher([file], *arguments) as running:
        second = Queue(running)
        wait_until(lambda: [one["state"] for one in second.listed(name)] == ["held"])
        assert "delivered, attempt 1" in second("trace", ended).output
        assert "failed for now: TooManyRequests" in second("trace", name).output


def test_without_a_queue_there_is_a_journal_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(MANIFESTS.replace("  acceptance: {mode: Queued}\n  queue: {disk: {}}\n", ""))
    with Dispatcher([file], "--simulator") as running:
        direct = Queue(running)
        assert "No queue: the dispatcher was started without --queue-dir" in direct("summary").output
        name = direct.send(GOOD)
        assert "delivered, attempt 1 by apns" in direct("trace", name).output
        name = direct.send("no token", expected=550)
        assert "refused: " in direct("trace", name).output
        assert "in memory, until a worker ends" in direct("trace", "nowhere", status=1).output


def test_help_teaches_with_examples() -> None:
    output = CliRunner().invoke(command, ["--help"]).output
    for words in (
        "kubectl tubepost queue",
        "tubepost queue drop",
        "Exit status:",
        "69  no dispatcher answers",
    ):
        assert words in output
    for name in ("summary", "list", "show", "trace", "flush", "hold", "release", "drop"):
        assert f"tubepost queue {name}" in CliRunner().invoke(command, [name, "--help"]).output
