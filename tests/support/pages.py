"""What stands on a page of the documentation, for tests that run it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"


def page(name: str) -> str:
    """The text of docs/NAME."""
    return (DOCS / name).read_text(encoding="utf-8")


def fences(name: str, language: str = "") -> list[str]:
    """Fenced snippets of one language, in their order; without one, those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    return [text for said, text in found if said == language]


def indented(name: str) -> list[str]:
    """Indented snippets, without their indentation."""
    found = re.findall(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)", page(name))
    return [textwrap.dedent(block) for block in found]


def documents(name: str) -> list[dict[str, Any]]:
    """Whole objects among the fenced YAML of a page."""
    found = [part for text in fences(name, "yaml") for part in yaml.safe_load_all(text)]
    return [part for part in found if isinstance(part, dict) and "kind" in part]


def parts(name: str) -> list[dict[str, Any]]:
    """What is no whole object among the fenced YAML of a page."""
    found = [part for text in fences(name, "yaml") for part in yaml.safe_load_all(text)]
    return [part for part in found if isinstance(part, dict) and "kind" not in part]


def put(text: str, *changes: tuple[str, str]) -> str:
    """A snippet with what is different in a test; what is changed has to be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text
