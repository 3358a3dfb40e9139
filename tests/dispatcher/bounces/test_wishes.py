from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.bounces.wishes import Wishes, utf8_address, wishes_of, xtext
from tubepost_dispatcher.smtp.syntax import xtext_encode


def test_without_parameters_failures_and_delays_are_told() -> None:
    assert wishes_of(None) == wishes_of({}) == Wishes(frozenset({"FAILURE", "DELAY"}))


@pytest.mark.parametrize(
    ("given_", "notify"),
    [("NEVER", set()), ("never", set()), ("SUCCESS,delay", {"SUCCESS", "DELAY"}), ("FAILURE", {"FAILURE"})],
)
def test_notify(given_: str, notify: set[str]) -> None:
    assert wishes_of({"NOTIFY": given_}).notify == notify


def test_names_are_decoded() -> None:
    dsn = {"ENVID": "QQ+20314", "ORCPT": "RFC822;phone+2B1@x.example", "RET": "FULL"}
    assert wishes_of(dsn) == Wishes(
        envelope_id="QQ 314", recipient_type="rfc822", recipient="phone+1@x.example"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"gerät@x.example", "gerät@x.example"),
        (r"ger\x{E4}t@x.example", "gerät@x.example"),
        (r"ger+5Cx+7BE4+7Dt@x.example", "gerät@x.example"),
        (r"\x{D800}\x{110000}", r"\x{D800}\x{110000}"),
    ],
)
def test_utf8_addresses(text: str, found: str) -> None:
    assert utf8_address(text) == found
    assert wishes_of({"ORCPT": f"utf-8;{text}"}).recipient == found


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_of_the_listeners_kind(text: str) -> None:
    assert xtext(xtext_encode(text)) == text
