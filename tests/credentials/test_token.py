from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_credentials import CredentialError
from tubepost_credentials.throwaway import make_token_key
from tubepost_credentials.token import load_token


@cache
def p8() -> bytes:
    return make_token_key()


def unpack(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


@given(st.integers(min_value=0, max_value=2**40))
@settings(max_examples=30)
def test_tokens_verify_and_say_what_they_should(now: int) -> None:
    credential = load_token(p8(), b"ABCDE12345", b"TEAM123456")
    token = credential.sign(now)
    header, claims, signature = token.split(".")
    assert json.loads(unpack(header)) == {"alg": "ES256", "kid": "ABCDE12345"}
    assert json.loads(unpack(claims)) == {"iss": "TEAM123456", "iat": now}
    raw = unpack(signature)
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = load_pem_public_key(credential.public_key_pem())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(der, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))


def test_every_process_makes_the_same_token() -> None:
    one = load_token(p8(), b"ABCDE12345", b"TEAM123456")
    other = load_token(p8() + b"\n", b"ABCDE12345\n", b" TEAM123456\r\n")
    assert one == other
    assert one.sign(1_700_000_000) == other.sign(1_700_000_000)
    assert one.sign(1_700_000_000) != one.sign(1_700_000_001)
    assert one.fingerprint == other.fingerprint


def test_the_fingerprint_depends_on_all_three() -> None:
    prints = {
        load_token(key, key_id, team).fingerprint
        for key in (p8(), make_token_key())
        for key_id in (b"ABCDE12345", b"ABCDE12346")
        for team in (b"TEAM123456", b"TEAM123457")
    }
    assert len(prints) == 8


def test_unusual_ids_are_warned_about() -> None:
    credential = load_token(p8(), b"dev", b"team-1")
    assert len(credential.warnings) == 2
    assert credential.describe()["warnings"] == list(credential.warnings)
    assert credential.validity(0.0) == "valid"


def test_description_and_repr_hold_no_key() -> None:
    credential = load_token(p8(), b"ABCDE12345", b"TEAM123456")
    text = repr(credential) + json.dumps(credential.describe())
    assert "EllipticCurve" not in text
    assert not any(line in text for line in p8().decode().splitlines())


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


BAD: dict[str, tuple[Callable[[], bytes], bytes, str]] = {
    "RSA": (lambda: pem(rsa.generate_private_key(65537, 2048)), b"ABCDE12345", "RSA"),
    "P-384": (lambda: pem(ec.generate_private_key(ec.SECP384R1())), b"ABCDE12345", "secp384r1"),
    "Ed25519": (lambda: pem(ed25519.Ed25519PrivateKey.generate()), b"ABCDE12345", "Edwards"),
    "empty": (lambda: b"", b"ABCDE12345", "empty"),
    "text": (lambda: b"hello", b"ABCDE12345", "not PEM"),
    "no frame": (lambda: b"".join(p8().splitlines()[1:-1]), b"ABCDE12345", "PEM frame"),
    "no key id": (p8, b"\n", "key id is empty"),
    "a key id of two words": (p8, b"ABCDE 2345", "characters"),
    "a key id with quotes": (p8, b'"ABCDE12345"', "characters"),
    "a key id of bytes": (p8, b"\xff\xfe", "characters"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_a_remedy(name: str) -> None:
    make, key_id, words = BAD[name]
    with pytest.raises(CredentialError) as caught:
        load_token(make(), key_id, b"TEAM123456")
    assert words in caught.value.message
    assert caught.value.remedy
    secret = [line for line in p8().decode().splitlines() if len(line) > 8 and not line.startswith("-----")]
    assert not any(line in str(caught.value) for line in secret)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_credential_error(data: bytes) -> None:
    with pytest.raises(CredentialError):
        load_token(data, b"ABCDE12345", b"TEAM123456")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem.replace(b"\n", b"\\n"),
        lambda pem: b'"' + pem.replace(b"\n", b"\\r\\n") + b'"',
        lambda pem: pem.replace(b"\n", b" "),
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b"  " + pem.replace(b"\n", b"\n  "),
        lambda pem: pem.decode().encode("utf-16"),
    ],
    ids=["escaped", "escaped and quoted", "one line", "mark", "indented", "UTF-16"],
)
def test_an_untidy_key_is_read_and_told_of(spoil: Callable[[bytes], bytes]) -> None:
    credential = load_token(spoil(p8()), b"ABCDE12345", b"TEAM123456")
    tidy = load_token(p8(), b"ABCDE12345", b"TEAM123456")
    assert credential == tidy
    assert credential.sign(1) == tidy.sign(1)
    assert not credential.warnings
    (remark,) = credential.remarks
    assert (remark.subject, remark.part) == ("Untidy", 0)
    assert credential.describe()["warnings"] == [str(remark)]
    assert not any(line in str(remark) for line in p8().decode().splitlines() if not line.startswith("---"))


@pytest.mark.parametrize(
    "spoil", [lambda pem: pem.replace(b"\n", b"\r\n"), bytes.strip, lambda pem: b"\n" + pem]
)
def test_line_ends_of_any_system_need_no_word(spoil: Callable[[bytes], bytes]) -> None:
    assert load_token(spoil(p8()), b"ABCDE12345", b"TEAM123456").remarks == ()


@pytest.mark.parametrize("value", [b"\xef\xbb\xbfABCDE12345\r\n", b"ABCDE12345\\n", b"ABCDE12345\\r\\n\n"])
def test_untidy_ids_are_read_and_told_of(value: bytes) -> None:
    credential = load_token(p8(), value, value)
    assert (credential.key_id, credential.team_id) == ("ABCDE12345", "ABCDE12345")
    assert [(remark.subject, remark.part) for remark in credential.remarks] == [("Untidy", 1), ("Untidy", 2)]
    assert not credential.warnings


def test_nothing_tells_which_of_two_keys_is_meant() -> None:
    with pytest.raises(CredentialError, match="2 private keys"):
        load_token(p8() + make_token_key(), b"ABCDE12345", b"TEAM123456")
