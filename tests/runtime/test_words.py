from __future__ import annotations

import pytest

from tubepost_runtime.words import counted


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 errors"), (1, "1 error"), (2, "2 errors"), (12_345, "12,345 errors")],
)
def test_one_is_not_several(count: int, text: str) -> None:
    assert counted(count, "error") == text


def test_a_word_with_a_plural_of_its_own() -> None:
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(3, "entry", "entries") == "3 entries"
    assert counted(1, "was", "were") == "1 was"
