"""The page of attacks names tests that exist, and replies that are given."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.generate import ROOT, outputs_of

PAGE = outputs_of("attacks_reference")["docs/reference/attacks.md"]
ROWS = [
    line.strip("| ").split(" | ")
    for line in PAGE.splitlines()
    if line.startswith("| ") and "tests" not in line
]
ROWS = [row for row in ROWS if row[0] not in {"vector", "---"}]


def names_of(path: Path) -> set[str]:
    """Names of test functions, those of classes as CLASS::NAME."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + it.name for it in inner if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def test_rows_are_whole() -> None:
    assert len(ROWS) > 40
    assert all(len(row) == 4 and all(cell.strip("` ") for cell in row) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_its_test_exists(row: list[str]) -> None:
    path, _, name = row[3].strip("`").partition("` `")
    file = ROOT / "tests" / path
    assert file.is_file(), path
    if name:
        assert name in names_of(file), f"{path} has no {name}"
