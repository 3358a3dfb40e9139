"""The benchmark's harness: that its figures can be believed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import http2_half, report, whole_path
from benchmarks.fixtures import make_fixtures
from benchmarks.load import LoadError
from benchmarks.processes import usage
from benchmarks.whole_path import Bounds, Result, Variant
from tests.peers.process import Process
from tubepost_api.compile import compile_manifests
from tubepost_dispatcher.config.manifests import load_manifests

BRIEF = Bounds(warmup=0.1, seconds=20.0, messages=20)


@pytest.mark.peer
def test_a_run_of_the_naive_stack_accounts_for_every_message(tmp_path: Path) -> None:
    variant = Variant("naive", 4, pipelined=False)
    result = whole_path.run(variant, {"naive": whole_path.NAIVE}, make_fixtures(tmp_path), BRIEF)
    assert result.messages > 0
    assert 0 < result.cpu <= result.seconds * (os.cpu_count() or 1) + 0.1
    assert result.memory > 10_000_000


@pytest.mark.peer
@pytest.mark.parametrize("name", http2_half.SENDERS)
def test_a_run_of_a_sender_accounts_for_every_request(tmp_path: Path, name: str) -> None:
    assert http2_half.run(name, make_fixtures(tmp_path), BRIEF).messages > 0


@pytest.mark.peer
def test_a_program_that_refuses_messages_is_no_result(tmp_path: Path) -> None:
    broken = whole_path.NAIVE.replace("{sink}", "https://localhost:1")
    with pytest.raises(LoadError, match=r"refused.*451"):
        whole_path.run(
            Variant("naive", 1, pipelined=False), {"naive": broken}, make_fixtures(tmp_path), BRIEF
        )


@pytest.mark.peer
def test_a_program_that_ends_is_named_with_its_output(tmp_path: Path) -> None:
    command = {"naive": "{python} -c \"raise SystemExit('no such thing')\""}
    with pytest.raises(LoadError, match=r"ended with status 1\n.*no such thing"):
        whole_path.run(Variant("naive", 1, pipelined=False), command, make_fixtures(tmp_path), BRIEF)


@pytest.mark.peer
def test_a_run_with_acceptance_queued_accounts_for_every_message(tmp_path: Path) -> None:
    command = {"queued": whole_path.OURS + whole_path.QUEUE}
    result = whole_path.run(Variant("queued", 4, pipelined=True), command, make_fixtures(tmp_path), BRIEF)
    assert result.messages > 0


@pytest.mark.parametrize("queued", [False, True])
def test_the_manifests_compile_without_a_problem(tmp_path: Path, queued: bool) -> None:
    manifests, problems = load_manifests([make_fixtures(tmp_path).manifests(8443, queued=queued)])
    result = compile_manifests(manifests)
    # Requests are measured in cleartext, as SMTP is: that is all that there is to say.
    assert {problem.field for problem in (*problems, *result.problems)} == {"spec.rest.tls"}
    assert result.config is not None


def test_the_table_has_medians_and_ratios() -> None:
    runs = {
        "naive": [Result(10, 1.0, cpu, 1_000_000) for cpu in (0.03, 0.01, 0.02)],
        "other": [Result(100, 1.0, 0.02, 1_000_000)],
    }
    made = report.summary(runs, "naive")
    assert made["variants"]["naive"]["cpu_us"] == pytest.approx(2_000)
    assert made["variants"]["other"]["cpu_ratio"] == pytest.approx(10)
    assert made["variants"]["other"]["rate_ratio"] == pytest.approx(10)
    assert "| other | 100 | 200 | 1 | 10.0 | 10.0 | 200 |" in report.table("A table", "message", made)


def test_a_pair_of_rows_has_its_ratios() -> None:
    runs = {"one": [Result(50, 1.0, 0.02, 1)], "other": [Result(100, 1.0, 0.02, 1)]}
    made = report.summary(runs, "absent", [("one", "other"), ("one", "absent")])
    assert made["ratios"] == {"one / other": {"rate": 0.5, "cpu_us": pytest.approx(2.0)}}
    assert "one / other: messages/s 0.50, CPU us/message 2.00" in report.table("A table", "message", made)


def test_the_cpu_of_children_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.25: pass\nprint('done', flush=True); input()"
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {burn!r}]))"

    class Burner(Process):
        def ready(self) -> None:
            assert self.first_line() == "done"

    with Burner([sys.executable, "-c", parent]) as burner:
        found = usage(burner.pid)
    assert found.cpu >= 0.2
    assert found.processes == 2
