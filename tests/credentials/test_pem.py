from __future__ import annotations

import pytest

from tubepost_credentials import CredentialError
from tubepost_credentials.authoring import make_ca, make_token_key
from tubepost_credentials.pem import MAX_PEM_SIZE, check_pem, load_key, private_key_block


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b" \n", "the key is empty"),
        (b"x" * (MAX_PEM_SIZE + 1), f"the key is larger than {MAX_PEM_SIZE} bytes"),
        (b"\x30\x82\x01\x00", "the key is binary (DER or a .p12 file), not PEM"),
        (b"LS0tLS1C" * 20, "the key is base64 without its PEM frame, or was base64-encoded twice"),
        (b"hello", "the key is not PEM text"),
    ],
    ids=["blank", "too large", "binary", "base64", "words"],
)
def test_what_is_no_pem(data: bytes, message: str) -> None:
    with pytest.raises(CredentialError) as caught:
        check_pem(data, "the key", "a private key")
    assert caught.value.message == message
    assert caught.value.remedy


def test_the_only_key_among_other_blocks_is_found() -> None:
    key = make_token_key()
    found = private_key_block(make_ca().certificate_pem + key, "the key", "a private key")
    assert found == key.strip() + b"\n"
    load_key(found, "the key")


def test_no_key_and_two_keys() -> None:
    with pytest.raises(CredentialError, match="no private key"):
        private_key_block(make_ca().certificate_pem, "the key", "a private key")
    with pytest.raises(CredentialError, match="2 private keys"):
        private_key_block(make_token_key() * 2, "the key", "a private key")


def test_a_damaged_key_is_not_quoted() -> None:
    block = make_token_key().replace(b"M", b"N")
    with pytest.raises(CredentialError, match="damaged") as caught:
        load_key(block, "the key")
    assert block.splitlines()[1].decode() not in str(caught.value)
    assert caught.value.__cause__ is None
