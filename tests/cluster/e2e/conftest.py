"""Tests on a real cluster: `make e2e`, or pytest with the name of a file here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import fixtures
from tests.cluster.fixtures import cluster, faults, namespace
from tests.cluster.handle import Cluster

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    """Show what was in the namespace when a test failed; afterwards it is gone."""
    report = yield
    if call.when != "teardown" and report.failed:
        values = getattr(item, "funcargs", {})
        on = values.get("cluster")
        found = [values.get("namespace"), *(getattr(value, "namespace", None) for value in values.values())]
        if isinstance(on, Cluster):
            for place in {name for name in found if isinstance(name, str)}:
                report.sections.append((f"namespace {place}", on.describe(place)))
    return report
