from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.text import (
    HIDDEN,
    MAX_TEXT,
    clean,
    foreign,
    hide_tokens,
    printable,
    short_token,
    visible,
)

TOKEN = "0123456789abcdef" * 4


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


def test_a_short_token_is_never_more_than_half_of_it() -> None:
    assert short_token(TOKEN) == "01234567"
    assert short_token("abcd") == "ab"
    assert short_token("a") == ""
    assert short_token("") == ""


def test_only_a_token_is_hidden() -> None:
    assert hide_tokens(TOKEN, TOKEN) == "01234567..."
    assert hide_tokens(TOKEN.upper(), TOKEN) == "01234567..."
    assert hide_tokens("abcdef", "abcdef") == "abc..."
    assert hide_tokens(TOKEN, "") == "01234567...", "a message may fail before its token is known"
    assert hide_tokens("f" * 63, "") == "f" * 63
    assert hide_tokens("g" * 64, "") == "g" * 64
    assert hide_tokens("user", TOKEN) == "user"
    assert hide_tokens("", "") == ""


def test_a_token_within_other_text_is_hidden_too() -> None:
    for text in (f"bounce+{TOKEN}@v.example", f"u-{TOKEN.upper()}", f"no such device {TOKEN}, {TOKEN}"):
        for token in (TOKEN, ""):
            assert TOKEN not in hide_tokens(text, token).lower()
            assert hide_tokens(text, token).startswith(text[:2])
    seed = "123acb90ffa0978cbade354ddffee76665a"
    assert hide_tokens(f"b-{seed}@x", seed) == "b-123acb90...@x"
    assert hide_tokens("cabbage", "ab") == "cabbage", "two digits are part of any word"
    assert hide_tokens("x" + "f" * 63, "") == "x" + "f" * 63


@given(st.text(max_size=20), st.text(max_size=20), st.from_regex(r"[0-9a-f]{16,80}", fullmatch=True))
def test_no_token_survives(before: str, after: str, token: str) -> None:
    assert token not in hide_tokens(before + token + after, token) or len((before + token).lower()) != len(
        before + token
    )


JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJURUFNMTIzNDU2IiwiaWF0IjoxNzAwMDAwMDAwfQ." + "Qx-_" * 21


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("BadDeviceToken", "BadDeviceToken"),
        ("407 Who are you", "407 Who are you"),
        ("id 00000000-0000-4000-8000-000000000001", "id 00000000-0000-4000-8000-000000000001"),
        ("ab" * 16, "ab" * 16),
        ("no " + "ab" * 32 + " here", f"no {HIDDEN} here"),
        ("no " + "AB" * 80, f"no {HIDDEN}"),
        ("/3/device/" + "0f" * 20, HIDDEN),
        (f"token {JWT}!", f"token {HIDDEN}!"),
        (f"token {JWT[:20]}", f"token {HIDDEN}"),
        (f"bearer {JWT}", HIDDEN),
        ("signature " + JWT.rpartition(".")[2], f"signature {HIDDEN}"),
        ("Proxy-Authorization: Basic dTpw", f"Proxy-Authorization: {HIDDEN}"),
        ("x" * 100, HIDDEN),
        ("no <" + " ".join(["0123abcd"] * 8) + ">", f"no <{HIDDEN}>"),
        ("no " + ":".join(["aB"] * 32) + ".", f"no {HIDDEN}."),
        ("no " + "-".join(["0f0f"] * 16), f"no {HIDDEN}"),
        ("at 2026-11-25 23:02:15 dead beef", "at 2026-11-25 23:02:15 dead beef"),
        ("a\r\nb\0c", "a??b?c"),
    ],
)
def test_what_others_say_holds_no_secret(said: str, shown: str) -> None:
    assert foreign(said) == shown


def test_what_was_sent_to_them_does_not_come_back() -> None:
    plain, encoded = "u:pw", base64.b64encode(b"u:pw").decode()
    assert (
        foreign(f"no pw, no {plain}, no {encoded}", "pw", plain, encoded, "")
        == f"no {HIDDEN}, no {HIDDEN}, no {HIDDEN}"
    )


@given(st.text(), st.integers(0, 300), st.integers(0, 60))
def test_a_secret_is_hidden_wherever_it_stands_and_however_it_is_cut(before: str, at: int, cut: int) -> None:
    token = "0123456789abcdef" * 4
    shown = foreign(before[:at] + " " + token[cut // 2 : 64 - cut // 4] + " " + JWT[: 128 - cut])
    assert re.fullmatch(r"[\x20-\x7e]{0,128}", shown)
    assert token[20:40] not in shown
    assert JWT[:12] not in shown


def test_it_takes_a_moment_for_any_text() -> None:
    for text in ("ab" * 10**6, "eyJ" * 10**6, "bearer " * 10**6, "a" * 32 + " "):
        assert len(foreign(text)) <= MAX_TEXT


def test_what_is_shown_of_a_value_has_no_whole_token() -> None:
    token = "0123456789abcdef" * 4
    for digits in (token, token.upper(), token + "ab" * 68):
        for value in (f"<{digits}@x>", digits, f"{digits}x", "y" * 40 + digits):
            for limit in (24, 64):
                assert digits[:12] not in printable(value, limit)
                assert digits[:12] not in printable(value.encode(), limit)
    assert printable(f"<{token}@x>") == '"<01234567...@x>"'


@given(st.text(max_size=100))
def test_what_is_visible_can_be_printed_and_is_as_long(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert all(
        after == before or (after == "?" and not before.isprintable())
        for before, after in zip(text, shown, strict=True)
    )
    assert visible("a\u202eb\n", " ") == "a b "
