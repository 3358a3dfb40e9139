"""Hooks of the documentation site: links that lead out of docs/, and whole folders in the navigation."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<=\]\()(\.\./[^)\s#]*)(#[^)\s]*)?(?=\))")
_FOLDERS = {"Runbooks": "runbooks", "Decisions": "decisions"}


def on_config(config: Any) -> Any:
    """List the pages of folders, the folder's own first."""
    _fill(config["nav"])
    return config


def _fill(nav: list[Any]) -> None:
    for item in nav:
        if not isinstance(item, dict):
            continue
        for name, children in item.items():
            if name in _FOLDERS:
                pages = sorted(
                    (ROOT / "docs" / _FOLDERS[name]).glob("*.md"), key=lambda page: page.name != "README.md"
                )
                item[name] = [f"{_FOLDERS[name]}/{page.name}" for page in pages]
            else:
                _fill(children)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Let links to files outside docs/ lead to the repository.

    Raises:
        FileNotFoundError: a link leads to nothing.
    """
    here = PurePosixPath("docs", page.file.src_uri).parent

    def lead(link: re.Match[str]) -> str:
        target = (ROOT / here / link[1]).resolve().relative_to(ROOT)
        if target.parts[0] == "docs":
            return link[0]
        if not (ROOT / target).exists():
            raise FileNotFoundError(f"{page.file.src_uri}: {link[0]}")
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{config['repo_url']}/{kind}/main/{target}{link[2] or ''}"

    return _LINK.sub(lead, markdown)
