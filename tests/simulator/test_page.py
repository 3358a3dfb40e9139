from __future__ import annotations

import re

from tubepost_simulator import page

FILES = page.load()


def text(name: str) -> str:
    return FILES[name].body.decode("utf-8")


def test_the_page_is_whole() -> None:
    """Whatever one of its files names is there, and nothing is there that none names."""
    named = set(re.findall(r'"page/([\w.]+)"', text("index.html")))
    for name in FILES:
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([\w.]+)"', text(name)))
    assert named | {page.INDEX} == set(FILES)


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name in FILES:
        content = text(name).replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"""(?:src|href|url|import|from)\s*[=(]?\s*["']?(?:https?:)?//""", content) == []


def test_no_markup_is_made_of_text() -> None:
    script = "".join(text(name) for name in FILES if name.endswith(".js"))
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        ".style",
    ):
        assert word not in script
    assert re.search(r"<script(?! type=\"module\" src=)|\son\w+=|style=", text("index.html")) is None


def test_tags_follow_the_content() -> None:
    tags = [file.tag for file in FILES.values()]
    assert len(set(tags)) == len(tags)
    assert page.load() == FILES
