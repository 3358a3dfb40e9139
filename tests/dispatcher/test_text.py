from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.text import clean, printable


@settings(deadline=None)  # shared machines stall
@given(st.binary(max_size=100) | st.text(max_size=100))
def test_printable(value: bytes | str) -> None:
    shown = printable(value, 20)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 20 * 4 + 5
    assert '"' not in shown[1:-1]


@given(st.text())
def test_clean_is_one_short_printable_line(text: str) -> None:
    assert re.fullmatch(r"[\x20-\x7e]{0,128}", clean(text))
