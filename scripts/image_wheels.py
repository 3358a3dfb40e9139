#!/usr/bin/env python3
"""Whether every locked requirement of the images has a wheel for each platform that they are built for.

    scripts/image_wheels.py [linux/arm64 ...]

The images install wheels alone (`--only-binary=:all:`): one that a platform lacks would end the build at the
release. Asks the package index by pip, hashes checked, and installs nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = {
    "linux/amd64": ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64"),
    "linux/arm64": ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_28_aarch64"),
}
"""Platform of an image -> tags of wheels that its base image takes (Debian 12 has glibc 2.36)."""
LOCKS = ("build", "compile", "runtime", "operator")
"""Lock files that images/Dockerfile installs."""
VERSION = "3.11"
"""Python of the base image."""


def command(lock: str, platform: str, target: str) -> list[str]:
    """What asks the index for the wheels of a lock file."""
    abi = f"cp{VERSION.replace('.', '')}"
    asked = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    asked += [
        "--ignore-installed",
        "--target",
        target,
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    asked += ["--python-version", VERSION, "--implementation", "cp"]
    asked += [word for name in (abi, "abi3", "none") for word in ("--abi", name)]
    asked += [word for tag in PLATFORMS[platform] for word in ("--platform", tag)]
    return [*asked, "--requirement", str(ROOT / "requirements" / f"{lock}.lock")]


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; returns the exit status."""
    failed = 0
    for platform in arguments or PLATFORMS:
        if platform not in PLATFORMS:
            print(f"{platform}: not one of {', '.join(PLATFORMS)}", file=sys.stderr)
            return 2
        for lock in LOCKS:
            with tempfile.TemporaryDirectory() as target:
                done = subprocess.run(
                    command(lock, platform, target), capture_output=True, text=True, check=False
                )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
                print(f"requirements/{lock}.lock has no wheels for {platform}: {last}", file=sys.stderr)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
