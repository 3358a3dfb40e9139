"""Helm for the tests of the chart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chart import helm
from tests.cluster import binaries

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI helm is built where it is missing: here, since no test has minutes to wait for it.

    The cluster's programs are built along with it; the tests on a real cluster need them anyway.
    """
    ours = any(_HERE in item.path.parents for item in items)
    have = helm.installed() is not None and binaries.program("helm-unittest").exists()
    if ours and os.environ.get("CI") and not have:
        binaries.build()
