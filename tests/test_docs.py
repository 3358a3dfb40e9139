"""Pages written by hand name things that exist: links and their anchors, files and directories of the repository."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}\S.*$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*(\.(py|md|yaml|lock|toml)|/)|(?:[a-z_]+/)+[a-z_]+")


@cache
def files() -> frozenset[str]:
    """Every file of the repository, tracked or new, and every directory with one in it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    found = {name for name in listed if (ROOT / name).exists()}
    return frozenset(found | {str(parent) for name in found for parent in Path(name).parents})


def pages() -> list[str]:
    return sorted(
        name
        for name in files()
        if name.endswith(".md") and not name.startswith(("docs/reference/", "scripts/", ".github/"))
    )


def headings(text: str) -> set[str]:
    """Anchors as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).strip().replace(" ", "-") for title in titles
    }


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        assert other.exists(), target
        if anchor:
            assert anchor in headings(other.read_text(encoding="utf-8")), target


@pytest.mark.parametrize(
    "page", [page for page in pages() if not page.startswith(("charts/", "examples/", "tests/"))]
)
def test_files_that_are_named_exist(page: str) -> None:
    """A name may leave out the directories before it: `lease.py`, `apns/pool`."""
    text = _INDENTED.sub("", _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8")))
    missing = [
        name
        for name in _CODE.findall(text)
        if _FILE.fullmatch(name)
        and name.rstrip("/") not in files()
        and not any(file.endswith("/" + name.rstrip("/")) for file in files())
        and not list(ROOT.glob(name))
    ]
    assert missing == []


def test_every_import_contract_is_on_the_architecture_page() -> None:
    contracts = re.findall(
        r"^\[importlinter:contract:(.+)\]$", (ROOT / ".importlinter").read_text(), re.MULTILINE
    )
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [name for name in contracts if f"`{name}`" not in page] == []
