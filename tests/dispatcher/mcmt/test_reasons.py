from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import tubepost_dispatcher.mcmt as package
from tubepost_dispatcher.apns import reasons as apns
from tubepost_dispatcher.mcmt.reasons import (
    NO_PUSH_PART,
    REASONS,
    TEXT_LIMIT,
    WARNINGS,
    in_part,
    printable,
    reject,
)
from tubepost_dispatcher.reply import Reply


def test_every_reason_in_the_code_is_in_the_table_and_the_other_way_round() -> None:
    sources = [path for root in package.__path__ for path in Path(root).glob("*.py")]
    text = "\n".join(path.read_text() for path in sources if path.name != "reasons.py")
    used = set(re.findall(r'(?:reject|_refuse|Fields)\(\s*"([A-Z]\w+)"', text))
    used |= set(re.findall(r'"(DuplicateHeaders|BadMessage)"', text)) | {NO_PUSH_PART.reason}
    assert used == set(REASONS)
    assert all(slug in text for slug in WARNINGS)
    assert all(spec.legacy_code in {2, 3, 4, 5, 6, 7, 8} for spec in REASONS.values())


def test_the_same_fault_has_one_legacy_code_whoever_finds_it() -> None:
    theirs = {spec.reason: spec.legacy_code for spec in apns.REASONS.values() if spec.reason in REASONS}
    assert len(theirs) > 8
    assert theirs == {reason: REASONS[reason].legacy_code for reason in theirs}


def test_texts_are_cut() -> None:
    long = reject("BadMessage", "x" * 1_000)
    assert len(long.text) == TEXT_LIMIT
    numbered = in_part(12, long)
    assert len(numbered.text) == TEXT_LIMIT
    assert numbered.text.startswith("part 12: x")
    assert (numbered.code, numbered.enhanced, numbered.reason) == (554, "5.6.0", "BadMessage")
    assert Reply(550, "5.1.2", "x").reason == ""


@settings(deadline=None)  # shared machines stall
@given(st.binary(max_size=100) | st.text(max_size=100))
def test_printable(value: bytes | str) -> None:
    shown = printable(value, 20)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 20 * 4 + 5
    assert '"' not in shown[1:-1]
