from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_credentials import CredentialError
from tubepost_credentials.words import (
    LONGEST_TOKEN,
    SHORTEST_KEY,
    SHORTEST_TOKEN,
    account,
    authorization,
    bearer_tokens,
    signing_key,
)

LONG = "t" * SHORTEST_TOKEN


def test_an_account_ends_where_its_line_ends() -> None:
    assert account([b" user\r\n", b" pass word \r\n"]) == ("user", " pass word ")


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (LONG.encode(), ""),
        (LONG.encode() + b"\r\n", ""),
        (b"t" * LONGEST_TOKEN, ""),
        (b"", "the token is empty"),
        (b"\n", "the token is empty"),
        (b"t" * (SHORTEST_TOKEN - 1), "the token is shorter than 16 characters"),
        (b"t" * (LONGEST_TOKEN + 1), "the token is longer than 1024 characters"),
        (f"{LONG} {LONG}".encode(), "the token holds a blank, or what is not printable ASCII"),
        (f" {LONG}".encode(), "the token holds a blank, or what is not printable ASCII"),
        (f"{LONG}\n{LONG}".encode(), "the token holds a blank, or what is not printable ASCII"),
        (f"{LONG}é".encode(), "the token holds a blank, or what is not printable ASCII"),
        (LONG.encode() + b"\xff", "the token holds a blank, or what is not printable ASCII"),
    ],
)
def test_a_bearer_token_can_be_sent_and_not_guessed(value: bytes, wrong: str) -> None:
    tokens, refused = bearer_tokens({"app": value})
    assert [(clients, error.message) for clients, error in refused] == ([(("app",), wrong)] if wrong else [])
    assert tokens == ({} if wrong else {"app": value.decode().strip()})


def test_a_token_belongs_to_one_client() -> None:
    tokens, refused = bearer_tokens({"a": LONG.encode(), "b": f"{LONG}\n".encode(), "c": b"c" * 20})
    assert tokens == {"c": "c" * 20}
    assert [(clients, error.message) for clients, error in refused] == [(("a", "b"), "the token is the same")]


def test_a_message_names_some_of_many_clients() -> None:
    _, refused = bearer_tokens({f"c{number:03}": LONG.encode() for number in range(100)})
    ((clients, _),) = refused
    assert clients == tuple(f"c{number:03}" for number in range(8))


@pytest.mark.parametrize("value", [b"Bearer x", b"Bearer x\n", b"x", b"x" * LONGEST_TOKEN])
def test_a_value_of_authorization_is_one_line(value: bytes) -> None:
    assert authorization(value) == value.decode().rstrip("\n")


@pytest.mark.parametrize(
    "value",
    [b"", b"\n", b" Bearer x", b"Bearer x ", b"Bearer x\r\ny: z", b"Bearer \xc3\xa9", b"\0", b"x" * 1_025],
)
def test_what_would_be_no_header_field_is_refused(value: bytes) -> None:
    with pytest.raises(CredentialError) as refused:
        authorization(value)
    assert refused.value.remedy


def test_a_key_of_a_signature_is_bytes() -> None:
    key = bytes(range(1, SHORTEST_KEY + 1)) + b"\xff"
    assert signing_key(key) == signing_key(key + b"\n") == key
    with pytest.raises(CredentialError, match="the key has 15 bytes, fewer than 16"):
        signing_key(b"x" * 15 + b"\n")


@given(st.dictionaries(st.sampled_from("abc"), st.binary(max_size=40)))
def test_every_client_has_a_token_or_is_told_of(secret: dict[str, bytes]) -> None:
    tokens, refused = bearer_tokens(secret)
    told = {client for clients, _ in refused for client in clients}
    assert tokens.keys() | told == secret.keys()
    assert not tokens.keys() & told
    assert len(set(tokens.values())) == len(tokens)
