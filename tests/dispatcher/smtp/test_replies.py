from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.reasons.listener import LISTENER_REASONS
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import replies, syntax


def test_every_reply_is_well_formed() -> None:
    constants = [
        value for name, value in vars(replies).items() if name.isupper() and isinstance(value, bytes)
    ]
    assert len(constants) > 40
    for reply in constants:
        for line in reply.removesuffix(b"\r\n").split(b"\r\n"):
            assert re.fullmatch(rb"[2-5][0-9]{2}[ -][ -~]{1,450}", line), line
            if line[:3] != b"354":
                assert re.match(rb"([245])\d\d[ -]\1\.\d{1,3}\.\d{1,3} ", line), line


@given(st.sampled_from([250, 451, 550]), st.text())
def test_no_text_can_forge_a_reply(code: int, text: str) -> None:
    reply = replies.render(Reply(code, "5.0.0", text))
    assert reply.endswith(b"\r\n")
    assert len(reply) <= 512
    assert re.fullmatch(rb"\d{3} 5\.0\.0 [ -~]*", reply[:-2])


def test_a_rejection_is_rendered() -> None:
    assert replies.render(Reply(554, "5.6.0", "No")) == b"554 5.6.0 No\r\n"


def test_every_row_of_the_listener_is_a_reply_and_every_refusal_is_a_row() -> None:
    rows = {replies.refuse(spec.reason) for spec in LISTENER_REASONS}
    constants = {
        value for name, value in vars(replies).items() if name.isupper() and isinstance(value, bytes)
    }
    by_syntax = {replies.render(value) for value in vars(syntax).values() if isinstance(value, Reply)}
    refusals = {reply for reply in constants | by_syntax if reply[:1] in b"45"}
    assert len(rows) == len(LISTENER_REASONS)
    assert refusals == rows | {replies.refuse("InternalError")}


def test_a_label_is_the_code() -> None:
    assert replies.code(replies.TOO_LARGE) == "552"
