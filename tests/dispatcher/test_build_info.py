from __future__ import annotations

import sys
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tubepost_dispatcher import build_info, notification


def test_it_says_which_modules_are_there() -> None:
    assert build_info.modules() == ("pure" if str(notification.__file__).endswith(".py") else "compiled")


def test_an_extension_module_beside_its_source_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some").mkdir()
    for name in ("__init__.py", "one.py", "two.py", f"two{EXTENSION_SUFFIXES[0]}"):
        (tmp_path / "some" / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for name in ("some.one", "some.two"):
        monkeypatch.setattr(build_info, "_ONE_OF_THEM", name)
        found.append(build_info.modules())
    assert found == ["pure", "compiled"]
    assert not {"some.one", "some.two"} & sys.modules.keys()


def test_the_line_has_what_the_metric_has() -> None:
    version, modules, python = build_info.labels()
    assert version == metadata.version("tubepost")
    assert build_info.line() == f"{version} ({modules}, Python {python})"
