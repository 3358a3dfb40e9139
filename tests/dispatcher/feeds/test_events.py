from __future__ import annotations

import pytest

from tubepost_dispatcher.feeds.events import LogEvent, shield, short_token

TOKEN = "0123456789abcdef" * 4


def test_a_short_token_is_never_more_than_half_of_it() -> None:
    assert short_token(TOKEN) == "01234567"
    assert short_token("abcd") == "ab"
    assert short_token("a") == ""
    assert short_token("") == ""


def test_only_a_token_is_shielded() -> None:
    assert shield(TOKEN, TOKEN) == "01234567..."
    assert shield(TOKEN.upper(), TOKEN) == "01234567..."
    assert shield("abcdef", "abcdef") == "abc..."
    assert shield(TOKEN, "") == "01234567...", "a message may fail before its token is known"
    assert shield("f" * 63, "") == "f" * 63
    assert shield("g" * 64, "") == "g" * 64
    assert shield("user", TOKEN) == "user"
    assert shield("", "") == ""


def test_an_event_has_no_room_for_other_values() -> None:
    event = LogEvent("delivery", 1.0)
    assert event.attempt == 1
    assert dict(event.context) == {}
    with pytest.raises(AttributeError):
        event.other = 1  # type: ignore[attr-defined]
