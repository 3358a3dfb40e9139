"""The chart's own suites, charts/tubepost/tests: helm-unittest, with the template engine of Helm 3."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.helm import CHART
from tests.cluster import binaries

SUITES = sorted((CHART / "tests").glob("*_test.yaml"))


def find() -> Path:
    """The program; where there is none the test fails in CI, and is skipped loudly elsewhere."""
    built = binaries.program("helm-unittest")
    if found := shutil.which("helm-unittest") or (built.exists() and built):
        return Path(found)
    text = "helm-unittest is not here. Remedy: python -m tests.cluster build"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    print(f"\nSKIPPED, NOT TESTED: {text}", file=sys.stderr)  # noqa: T201 - a skip must be seen
    pytest.skip(text)


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_suite(suite: Path) -> None:
    done = subprocess.run(
        [str(find()), "--strict", "--file", f"tests/{suite.name}", str(CHART)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"Tests: +(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) == suite.read_text().count("\n  - it: ")
