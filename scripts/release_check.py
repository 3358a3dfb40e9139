#!/usr/bin/env python3
"""Compare a version with every place that names it: `scripts/release_check.py 0.1.0`. Needs only Python."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "tubepost" / "Chart.yaml"


def named(root: Path = ROOT) -> dict[str, str]:
    """Place -> the version that stands there; empty where none does."""
    chart = (root / CHART.relative_to(ROOT)).read_text(encoding="utf-8")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    manifests = (root / "deploy" / "tubepost.yaml").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", changes, re.MULTILINE)
    images = set(re.findall(r"image: docker\.io/tubepost/[a-z]+:(\S+)", chart))
    deployed = set(re.findall(r"tubepost/(?:operator|dispatcher):(\S+)", manifests))
    return {
        "pyproject.toml": str(project["version"]),
        "Chart.yaml, version": _value(chart, "version"),
        "Chart.yaml, appVersion": _value(chart, "appVersion"),
        "Chart.yaml, artifacthub.io/images": " ".join(sorted(images)),
        "CHANGELOG.md, newest release": newest[1] if newest else "",
        "deploy/tubepost.yaml, images": " ".join(sorted(deployed)),
    }


def _value(chart: str, key: str) -> str:
    found = re.search(rf"^{key}: *\"?([^\s\"]+)", chart, re.MULTILINE)
    return found[1] if found else ""


def main(arguments: list[str]) -> int:
    """Run from the command line; returns the exit status."""
    places = named()
    version = arguments[0] if arguments else places["pyproject.toml"]
    wrong = {place: found for place, found in places.items() if found != version}
    for place, found in wrong.items():
        print(f"{place}: {found or 'no version'}, not {version}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
