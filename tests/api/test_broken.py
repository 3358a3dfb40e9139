"""The wording of problems, as golden files (see data/README.md)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tubepost_api.compile import compile_manifests
from tubepost_dispatcher.config.manifests import load_manifests

DATA = Path(__file__).parent / "data"
BROKEN = sorted((DATA / "broken").glob("*.yaml"))


def problems_of(path: Path) -> str:
    manifests, unreadable = load_manifests([path])
    found = unreadable or list(compile_manifests(manifests).problems)
    lines = [f"{problem.severity}: {problem}" for problem in found]
    return "".join(line.replace(str(path), path.name) + "\n" for line in lines)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_every_problem_is_told_as_expected(path: Path) -> None:
    expected = DATA / "expected" / f"{path.stem}.txt"
    found = problems_of(path)
    if os.environ.get("TUBEPOST_REWRITE"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")
    assert found


def test_every_expectation_has_its_manifest() -> None:
    assert {path.stem for path in BROKEN} == {path.stem for path in (DATA / "expected").iterdir()}
    assert len(BROKEN) >= 20
