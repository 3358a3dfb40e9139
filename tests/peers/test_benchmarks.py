"""The benchmark's harness on small runs: that its figures can be believed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import http2_half, smtp_half, whole_path
from benchmarks.fixtures import make_fixtures
from benchmarks.load import Feed
from benchmarks.measure import BenchmarkError, Bounds
from benchmarks.processes import memory, usage
from benchmarks.whole_path import COMMANDS, NAIVE, Variant
from tests.peers.process import Process
from tubepost_api.compile import compile_manifests
from tubepost_dispatcher.config.manifests import load_manifests

BRIEF = Bounds(warmup=0.1, seconds=20.0, messages=20)


@pytest.mark.peer
def test_a_run_of_the_naive_stack_accounts_for_every_message(tmp_path: Path) -> None:
    found = whole_path.run(Variant("naive", Feed(4)), COMMANDS, make_fixtures(tmp_path), BRIEF)
    assert found.messages > 0
    assert 0 < found.cpu <= found.seconds * (os.cpu_count() or 1) + 0.1
    assert found.memory > 10_000_000
    assert found.p50 is not None
    assert found.p99 is not None
    assert found.longest is not None
    assert 0 < found.p50 <= found.p99 <= found.longest


@pytest.mark.peer
@pytest.mark.parametrize("name", ["tubepost's pool", "httpx"])
def test_a_run_of_a_sender_accounts_for_every_request(tmp_path: Path, name: str) -> None:
    assert http2_half.run(name, make_fixtures(tmp_path), BRIEF).messages > 0


@pytest.mark.peer
@pytest.mark.parametrize(
    "feed",
    [Feed(3, pipelined=True), Feed(2, per_connection=1), Feed(2, rate=50.0)],
    ids=lambda feed: feed.name,
)
def test_a_run_of_our_listener_alone(tmp_path: Path, feed: Feed) -> None:
    variant = smtp_half.Variant("tubepost", feed)
    assert smtp_half.run(variant, make_fixtures(tmp_path), BRIEF).messages > 0


@pytest.mark.peer
def test_a_run_beside_idle_sessions_and_messages_that_wait(tmp_path: Path) -> None:
    variant = Variant("queued", Feed(2), entries=3, idle=5, waiting=20)
    assert whole_path.run(variant, COMMANDS, make_fixtures(tmp_path), BRIEF, delay=0.01).messages > 0


@pytest.mark.peer
def test_a_program_that_refuses_messages_is_no_result(tmp_path: Path) -> None:
    commands = {"naive": NAIVE.replace("{sink}", "https://localhost:1")}
    with pytest.raises(BenchmarkError, match=r"refused.*451"):
        whole_path.run(Variant("naive", Feed(1)), commands, make_fixtures(tmp_path), BRIEF)


@pytest.mark.peer
def test_a_program_that_ends_is_named_with_its_output(tmp_path: Path) -> None:
    commands = {"naive": "{python} -c \"raise SystemExit('no such thing')\""}
    with pytest.raises(BenchmarkError, match=r"naive.*ended with status 1\n.*no such thing"):
        whole_path.run(Variant("naive", Feed(1)), commands, make_fixtures(tmp_path), BRIEF)


@pytest.mark.peer
@pytest.mark.parametrize("feed", [Feed(4, pipelined=True), Feed(2, batch=5)], ids=lambda feed: feed.name)
def test_a_run_with_acceptance_queued_accounts_for_every_message(tmp_path: Path, feed: Feed) -> None:
    found = whole_path.run(Variant("queued", feed), COMMANDS, make_fixtures(tmp_path), BRIEF)
    assert found.messages > 0


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        (None, set()),
        ({"disk": {}}, set()),
        ({"jetStream": {"servers": ["nats://localhost"]}}, {"spec.queue.jetStream.servers"}),
    ],
)
def test_the_manifests_compile_without_a_problem(
    tmp_path: Path, queue: dict[str, object] | None, said: set[str]
) -> None:
    manifests, problems = load_manifests([make_fixtures(tmp_path).manifests(8443, queue=queue, waiting=True)])
    result = compile_manifests(manifests)
    # Requests are measured in cleartext, as SMTP and the queue are: that is all that there is to say.
    assert {problem.field for problem in (*problems, *result.problems)} == {"spec.rest.tls"} | said
    assert result.config is not None


def test_the_cpu_and_the_memory_of_children_count() -> None:
    burn = "import time\nwhile time.process_time() < 0.25: pass\nprint('done', flush=True); input()"
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {burn!r}]))"

    class Burner(Process):
        def ready(self) -> None:
            assert self.first_line() == "done"

    with Burner([sys.executable, "-c", parent]) as burner:
        found, bytes_used = usage(burner.pid), memory(burner.pid)
    assert found.cpu >= 0.2
    assert found.processes == 2
    assert 2_000_000 < bytes_used <= found.resident
