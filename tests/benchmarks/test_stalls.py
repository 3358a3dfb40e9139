from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks import stalls
from benchmarks.fixtures import DOMAIN, Fixtures
from benchmarks.measure import BenchmarkError
from benchmarks.probe import Stall, Trip


def test_a_scenario_that_cannot_be_run_here_is_named_with_the_reason() -> None:
    def run(scenario: stalls.Scenario, _fixtures: Fixtures, ours: str) -> Stall:
        assert ours == "ours"
        if scenario.slow_log:
            raise BenchmarkError("mount: only root can do that\nits output")
        return Stall.of([Trip(0.002, 0.001, 0.0)])

    found, missing = stalls.figures(Fixtures(*[Path()] * 5), "ours", run=run)
    assert missing == {"a logger's disk stands still": "mount: only root can do that"}
    assert found.keys() | missing.keys() == {one.name for one in stalls.SCENARIOS}
    assert found["nothing else"]["ms"] == pytest.approx(1.0)


def test_reloads_go_to_many_domains_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "bench.yaml"
    waiting = {"name": "waiting.example", "routes": ["nowhere"]}
    domains = [{"name": "domain1.example"}, waiting, {"name": DOMAIN}]
    manifest.write_text(yaml.safe_dump_all([{"spec": {"domains": domains}}, {"kind": "ApnRoute"}]))
    seen = []

    def note(_seconds: float) -> None:
        documents = list(yaml.safe_load_all(manifest.read_text()))
        assert documents[1] == {"kind": "ApnRoute"}
        found = documents[0]["spec"]["domains"]
        assert {one["name"] for one in found} >= {DOMAIN, "waiting.example"}
        seen.append(len(found))

    monkeypatch.setattr(stalls.time, "sleep", note)
    stalls.reloads(stalls.Running(1, manifest, tmp_path), 3)
    assert seen == [stalls.DOMAINS, 2, stalls.DOMAINS]
