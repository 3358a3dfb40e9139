from __future__ import annotations

import re
from pathlib import Path

import tubepost_dispatcher.intake.mcmt as package
from tubepost_dispatcher import context
from tubepost_dispatcher.delivery import headers
from tubepost_dispatcher.intake import receive
from tubepost_dispatcher.intake.mcmt.message import in_part
from tubepost_dispatcher.reasons.apns import APNS_REASONS
from tubepost_dispatcher.reasons.catalogue import MAX_REPLY_TEXT, REASONS, refusal
from tubepost_dispatcher.reasons.message import MESSAGE_REASONS, SHARED, WARNINGS
from tubepost_dispatcher.reply import Reply


def test_every_reason_in_the_code_is_in_the_table_and_the_other_way_round() -> None:
    sources = [path for root in package.__path__ for path in Path(root).glob("*.py")]
    # These may be compiled, beside their sources.
    beside = [(Path(one.__file__), one.__name__.rpartition(".")[2]) for one in (headers, receive, context)]
    sources += [path.with_name(f"{name}.py") for path, name in beside]
    text = "\n".join(path.read_text() for path in sources)
    used = set(re.findall(r'(?:refusal|permanent_outcome|Fields)\(\s*"([A-Z]\w+)"', text))
    used |= set(re.findall(r'"(DuplicateHeaders|BadMessage)"', text))
    assert used - {"McmtRejected"} == {spec.reason for spec in MESSAGE_REASONS} | SHARED
    assert all(slug in text for slug in WARNINGS)
    assert all(REASONS[reason].legacy_code in {2, 3, 4, 5, 6, 7, 8} for reason in used)


def test_words_that_are_shared_are_apns_own() -> None:
    assert {spec.reason for spec in APNS_REASONS} >= SHARED
    assert len(SHARED) > 8


def test_texts_are_cut() -> None:
    long = refusal("BadMessage", "x" * 1_000)
    assert len(long.text) == MAX_REPLY_TEXT
    numbered = in_part(12, long)
    assert len(numbered.text) == MAX_REPLY_TEXT
    assert numbered.text.startswith("part 12: x")
    assert (numbered.code, numbered.enhanced, numbered.reason) == (554, "5.6.0", "BadMessage")
    assert Reply(550, "5.1.2", "x").reason == ""
