"""No test may end with a secret in what the code under test has said (`tests/support/leaks.py`).

A test that is about a secret in the open, such as a log line that was asked for the token, has the mark
`shows_secrets(WHY)`.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leaks import EVERYTHING, Leaks, install

# How long an example takes on a machine that others use too says nothing about the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

LEAKS = Leaks()
_STASH = pytest.StashKey[Callable[[], None]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "shows_secrets(why): a secret or a device token stands in the open here"
    )
    config.stash[_STASH] = install(LEAKS)


@pytest.fixture(scope="module")
def own_litter() -> Generator[None]:
    """What the module's tests leave to the garbage collector is collected with the last of them.

    Else its warnings would be those of whichever test comes next. For modules that use what leaves some.
    """
    yield
    gc.collect()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_STASH]()
    LEAKS.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups with tests that are given long first, so that none is left over at the end with a worker idle."""
    for item in items:
        # xdist 3.8 writes the name of the group to where pytest 9.2 does not look for it any more.
        named = getattr(item, "_nodeid", item.nodeid)
        if named != item.nodeid:
            item._id = type(item.id).parse(named)
    times: dict[str, float] = {}
    for item in items:
        before, own = times.get(_unit(item), 0.0), allowed(item)
        # Those of a group follow each other, those of a module are spread.
        alone = item.get_closest_marker("xdist_group") is None
        times[_unit(item)] = max(before, own) if alone else before + own
    items.sort(key=lambda item: times[_unit(item)], reverse=True)


def _unit(item: pytest.Item) -> str:
    """What one worker runs: a group, or the test alone; its module, so that what that shares is made once."""
    group = item.get_closest_marker("xdist_group")
    return str(group.args[0]) if group is not None else item.nodeid.partition("::")[0]


def allowed(item: pytest.Item) -> float:
    """Seconds that a test is given by a mark of its own, 0 without one."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker is not None and marker.args else 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have all lines made, those of level Debug too, unless a test sets a level."""
    LEAKS.device_tokens = not item.nodeid.startswith(("tests/chart/", "tests/cluster/"))
    logger = logging.getLogger("tubepost")
    before = logger.level
    if before == logging.NOTSET:
        logger.setLevel(EVERYTHING)
    try:
        return (yield)
    finally:
        logger.setLevel(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the report of a test's last phase into a failure when it has leaked."""
    report = yield
    for title, text in report.sections:
        # Of its own output a command may show the message that it was given.
        LEAKS.look(title.lower(), text, device_tokens="stdout" not in title)
    if report.when == "teardown":
        found = LEAKS.take()
        if found and report.passed and item.get_closest_marker("shows_secrets") is None:
            report.outcome = "failed"
            report.longrepr = "\n".join(["secrets in the open:", *found])
    return report
