"""Tests with the mark `xdist_group` run on one worker, one after the other: many rely on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import pytest_collection_modifyitems

ROOT = Path(__file__).resolve().parents[1]
_GROUP = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(4))
@pytest.mark.xdist_group("together")
@pytest.mark.timeout({seconds})
def test_one(number):
    with pathlib.Path({file!r}).open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""
_OTHERS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_another(number):
    pass
"""


def test_a_group_is_kept_on_one_worker(tmp_path: Path) -> None:
    where = tmp_path / "workers"
    (tmp_path / "test_group.py").write_text(_GROUP.format(seconds=60, file=str(where)))
    (tmp_path / "test_others.py").write_text(_OTHERS)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "--dist",
            "loadgroup",
            "-p",
            "tests.conftest",
            tmp_path,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(where.read_text().split()) == 4
    assert len(set(where.read_text().split())) == 1


def test_what_is_given_long_starts_first(request: pytest.FixtureRequest) -> None:
    def item(nodeid: str, *marks: pytest.MarkDecorator) -> pytest.Item:
        made = pytest.Function.from_parent(request.node.parent, name=nodeid, callobj=lambda: None)
        made._id = type(made.id).parse(nodeid)
        for mark in marks:
            made.add_marker(mark)
        return made

    group, long = pytest.mark.xdist_group("together"), pytest.mark.timeout(900)
    items = [item("a::x"), item("b::x", group), item("c::x"), item("d::x", group, long), item("c::y", long)]
    pytest_collection_modifyitems(items)
    # One group: the shorter go with the longer; so do those of a module.
    assert [one.nodeid for one in items] == ["b::x", "c::x", "d::x", "c::y", "a::x"]
