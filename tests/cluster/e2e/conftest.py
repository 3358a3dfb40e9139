"""Tests on a real cluster: `make e2e`, or pytest with the name of a file here."""

from __future__ import annotations

import pytest

from tests.cluster import fixtures
from tests.cluster.fixtures import cluster, faults, namespace

__all__ = ["cluster", "faults", "namespace"]

TIMEOUT = 300
"""Seconds for a test that sets no other; building the cluster is not counted (`timeout_func_only`)."""


def pytest_configure() -> None:
    """The cluster belongs to the process that was started first."""
    fixtures.claim()


def pytest_unconfigure() -> None:
    """Take the cluster down."""
    fixtures.release()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time that pods take."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT, func_only=True))
