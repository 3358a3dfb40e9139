"""How clients of NATS log in: seeds and credentials files, made by a second writer in tests/peers."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.nats_credentials import ACCOUNT, USER, Decentral, NKey
from tubepost_credentials.errors import CredentialError
from tubepost_credentials.nkey import load_nats_file, load_nkey

KEY = NKey.make(USER)
ISSUER = Decentral()
FILE = ISSUER.file()


def test_a_seed_is_read() -> None:
    credential = load_nkey(f"# of the test\n{KEY.seed}\n".encode())
    assert credential.public == KEY.public
    assert credential.public.startswith("U")
    assert (credential.token, credential.not_after) == (None, None)
    signature = base64.b64decode(credential.sign("nonce"))
    KEY.key.public_key().verify(signature, b"nonce")
    assert KEY.seed not in repr(credential)


def test_a_file_is_read() -> None:
    credential = load_nats_file(FILE.replace("\n", "\r\n").encode())
    assert credential.token is not None
    assert credential.token in FILE
    assert credential.token not in repr(credential)
    assert credential.not_after is None


def with_claims(**claims: Any) -> bytes:
    """A credentials file whose JWT says so; nobody checks its signature here."""
    token = NKey.make(ACCOUNT).sign({"sub": KEY.public, "nats": {}, **claims})
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n"
        f"-----BEGIN USER NKEY SEED-----\n{KEY.seed}\n------END USER NKEY SEED------\n"
    ).encode()


@pytest.mark.parametrize(
    ("end", "expected"),
    [(1_800_000_000, 1_800_000_000.0), (0, None), (None, None), (10**300, 253_402_300_799.0), (-5, 0.0)],
)
def test_the_end_of_a_jwt(end: int | None, expected: float | None) -> None:
    assert load_nats_file(with_claims(exp=end)).not_after == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "the seed is empty"),
        (b"SUA\nSUB\n", "the seed is more than one line"),
        (b"su-1", "the seed is not Base32"),
        (b"MFRGG", "the seed is no seed"),
        (KEY.public.encode(), "the seed is no seed"),
        (NKey.make(ACCOUNT).seed.encode(), "the seed is not a user's"),
        # Not its last letter, of which two bits are padding.
        (f"{KEY.seed[:-2]}{'B' if KEY.seed[-2] == 'A' else 'A'}{KEY.seed[-1]}".encode(), "the seed is "),
    ],
    ids=range(7),  # values are made anew by every process, and so would be names made of them
)
def test_what_is_no_seed_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(CredentialError) as caught:
        load_nkey(value)
    assert caught.value.message.startswith(message)
    assert "nk -gen user" in caught.value.remedy


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (KEY.seed.encode(), "the file has no section BEGIN NATS USER JWT"),
        (FILE.partition("-----BEGIN USER")[0].encode(), "the file has no section BEGIN USER NKEY SEED"),
        (with_claims(sub=NKey.make(USER).public), "the JWT in the file is of another key than the seed"),
        (with_claims(exp="soon"), "the JWT in the file cannot be read"),
        (FILE.replace(".", "..").encode(), "the JWT in the file"),
        (b"x" * 70_000, "the file has more than 65536 bytes"),
    ],
    ids=range(6),  # values are made anew by every process, and so would be names made of them
)
def test_what_is_no_credentials_file_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(CredentialError) as caught:
        load_nats_file(value)
    assert caught.value.message.startswith(message)
    assert KEY.seed not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, len(FILE) - 1))
def test_anything_is_read_or_refused(junk: bytes, at: int) -> None:
    raw = FILE.encode()
    for value in (junk, raw[:at] + junk, raw[:at] + junk + raw[at + len(junk) :]):
        for read in (load_nkey, load_nats_file):
            with contextlib.suppress(CredentialError):
                assert read(value).public.startswith("U")
