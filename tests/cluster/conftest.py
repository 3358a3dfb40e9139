"""Tests on a cluster run when they are named (`make e2e`), not with all the others."""

from __future__ import annotations

from pathlib import Path

import pytest

_E2E = Path(__file__).resolve().parent / "e2e"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave `e2e/` out unless an argument of pytest leads there."""
    if collection_path != _E2E and _E2E not in collection_path.parents:
        return None
    named = [
        Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args
    ]
    inside = any(path == _E2E or _E2E in path.parents for path in named)
    return None if inside else True
