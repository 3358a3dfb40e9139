from __future__ import annotations

import codecs
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_credentials import CredentialError
from tubepost_credentials.pem import (
    MAX_PEM_SIZE,
    check_pem,
    load_key,
    private_key_block,
    private_key_blocks,
    tidy,
)
from tubepost_credentials.throwaway import make_ca, make_token_key


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


def on_one_line(pem: bytes) -> bytes:
    return b" ".join(pem.split(b"\n")).strip()


UNTIDY: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "escaped": (lambda pem: pem.replace(b"\n", b"\\n"), "the two characters \\n"),
    "escaped CRLF": (lambda pem: pem.replace(b"\n", b"\\r\\n"), "the two characters \\n"),
    "escaped and folded": (lambda pem: pem.replace(b"\n", b"\\n\n"), "the two characters \\n"),
    "escaped in quotes": (lambda pem: b'"' + pem.replace(b"\n", b"\\n") + b'"', "quotation marks around it"),
    "quoted": (lambda pem: b'"' + pem + b'"\n', "quotation marks"),
    "quoted with a comma": (lambda pem: b"'" + pem.strip() + b"',\n", "quotation marks"),
    "indented": (lambda pem: b"\n".join(b"    " + line for line in pem.splitlines()), "blanks around"),
    "indented by tabs": (
        lambda pem: b"\r\n".join(b"\t" + line for line in pem.splitlines()),
        "blanks around",
    ),
    "trailing blanks": (lambda pem: pem.replace(b"\n", b"  \n"), "blanks around"),
    "blanks for line ends": (on_one_line, "in place of line ends"),
    "no line ends": (lambda pem: pem.replace(b"\n", b""), "in place of line ends"),
    "byte order mark": (lambda pem: codecs.BOM_UTF8 + pem, "a byte order mark"),
    "UTF-16": (lambda pem: pem.decode().encode("utf-16"), "the encoding UTF-16"),
    "UTF-16 with CRLF": (
        lambda pem: codecs.BOM_UTF16_BE + pem.decode().replace("\n", "\r\n").encode("utf-16-be"),
        "the encoding UTF-16",
    ),
    "mark, quotes and escapes": (
        lambda pem: codecs.BOM_UTF8 + b'"' + pem.replace(b"\n", b"\\n") + b'"',
        "a byte order mark, quotation marks around it and the two characters",
    ),
}


@pytest.mark.parametrize("name", UNTIDY)
@pytest.mark.parametrize("pem", [make_token_key(), make_ca().certificate_pem], ids=["key", "certificate"])
def test_what_editors_and_variables_do_is_undone_and_said(name: str, pem: bytes) -> None:
    spoil, words = UNTIDY[name]
    text, found = tidy(spoil(pem))
    assert text == pem
    assert words in found


@pytest.mark.parametrize(
    "pem",
    [
        make_token_key().replace(b"\n", b"\r\n"),
        make_token_key().strip(),
        b"\n\n" + make_token_key() + b"\n\n",
        b"Bag Attributes\n    localKeyID: 01\n" + make_ca().certificate_pem,
        b"# a \\n in a comment, and 'quotes'\n" + make_ca().certificate_pem + make_token_key(),
        b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
        b"-----BEGIN X-----\\n \\n-----END X-----",
        b"hello\\n",
        b"",
    ],
)
def test_what_is_in_order_or_beyond_help_is_left_alone(pem: bytes) -> None:
    assert tidy(pem) == (pem, "")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_whatever_surrounds_a_block_it_survives(before: bytes, after: bytes) -> None:
    key = make_token_key()
    if b"-----" not in before + after and not before.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text, _ = tidy(before + b"\n" + key + after)
        assert key.strip() in text


def test_all_keys_are_found() -> None:
    one, other = make_token_key(), make_token_key()
    assert private_key_blocks(one + make_ca().certificate_pem + other, "the key", "a key") == [one, other]
