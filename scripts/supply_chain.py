"""What the images are made of: bills of materials, and known vulnerabilities.

    scripts/supply_chain.py sbom     dist/sbom/{operator,dispatcher,simulator}.cdx.json (CycloneDX 1.6)
    scripts/supply_chain.py audit    ask the package index about every locked requirement

`make sbom` and `make audit` run it in an environment with the tools (requirements/audit.lock). An index that
cannot say anything is no failure, unless `--strict` asks for one: that is said, and the vulnerabilities that
are known count.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"operator": "operator", "dispatcher": "runtime", "simulator": "runtime"}
"""Image -> its lock file in requirements/."""
ALL_LOCKS = ("build", "compile", "runtime", "operator", "dev", "audit", "docs")
SILENT = 3
"""Packages that are named when the index did not say anything about them."""
_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ \\;]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def locked(text: str) -> dict[tuple[str, str], set[str]]:
    """Name and version of everything in a lock file, with the hashes of its files."""
    starts = [*_LOCKED.finditer(text)]
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return {
        (match[1], match[2]): set(_HASH.findall(text, match.start(), end))
        for match, end in zip(starts, ends, strict=True)
    }


def missing(text: str, bill: Mapping[str, Any]) -> list[str]:
    """What of a lock file is not in a bill of materials, or with other hashes."""
    listed: dict[tuple[str, str], set[str]] = {}
    for component in bill.get("components", ()):
        hashes = {
            item["content"]
            for reference in component.get("externalReferences", ())
            for item in reference.get("hashes", ())
        }
        listed[component["name"], component.get("version", "")] = hashes
    return [
        f"{name} {version}"
        for (name, version), hashes in locked(text).items()
        if listed.get((name, version)) != hashes
    ]


def findings(report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Of pip-audit's report: the vulnerabilities, and the packages that the index said nothing about."""
    known, silent = [], []
    for item in report["dependencies"]:
        if "skip_reason" in item:
            silent.append(item["name"])
        for found in item.get("vulns", ()):
            remedy = (
                f"upgrade to {' or '.join(found['fix_versions'])}" if found["fix_versions"] else "none yet"
            )
            known.append(f"{item['name']} {item['version']}: {found['id']}. Remedy: {remedy}")
    return known, silent


def sbom(tools: Path, target: Path) -> int:
    """Write the bills of materials; returns the exit status."""
    target.mkdir(parents=True, exist_ok=True)
    for image, lock in LOCKS.items():
        source, path = ROOT / "requirements" / f"{lock}.lock", target / f"{image}.cdx.json"
        subprocess.run(
            [
                *(tools / "cyclonedx-py", "requirements", source, "--pyproject", ROOT / "pyproject.toml"),
                *("--of", "JSON", "--sv", "1.6", "--output-reproducible", "--validate", "-o", path),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        absent = missing(source.read_text(encoding="utf-8"), json.loads(path.read_text(encoding="utf-8")))
        if absent:
            print(f"{path}: lacks {', '.join(absent)} of {source.name}", file=sys.stderr)
            return 1
        print(f"wrote {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return 0


def audit(tools: Path, *, strict: bool) -> int:
    """Ask about every lock file; returns the exit status."""
    status = 0
    for lock in ALL_LOCKS:
        command = [
            *(tools / "pip-audit", "--requirement", ROOT / "requirements" / f"{lock}.lock"),
            *("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            known, silent = findings(json.loads(done.stdout))
        except ValueError:
            words = done.stderr.strip().splitlines()
            print(
                f"{lock}.lock: NOT AUDITED, {words[-1] if words else 'pip-audit said nothing'}",
                file=sys.stderr,
            )
            status = max(status, int(strict))
            continue
        for line in known:
            print(f"{lock}.lock: {line}", file=sys.stderr)
        if silent:
            names = f"{', '.join(silent[:SILENT])}{' ...' if len(silent) > SILENT else ''}"
            print(
                f"{lock}.lock: NOT AUDITED, the index says nothing about {len(silent)}: {names}",
                file=sys.stderr,
            )
        status = max(status, int(bool(known) or (strict and bool(silent))))
        if not known and not silent:
            print(f"{lock}.lock: no known vulnerability")
    return status


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="What the images are made of.")
    parser.add_argument("command", choices=["sbom", "audit"])
    parser.add_argument(
        "--strict", action="store_true", help="audit: an index that cannot say anything is a failure"
    )
    parser.add_argument("--tools", type=Path, default=Path(sys.executable).parent, help="where the tools are")
    parser.add_argument("--target", type=Path, default=ROOT / "dist" / "sbom", help="sbom: where to write to")
    given = parser.parse_args(arguments)
    if given.command == "sbom":
        return sbom(given.tools, given.target)
    return audit(given.tools, strict=given.strict)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
