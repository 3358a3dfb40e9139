from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from datetime import UTC, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from tubepost_credentials import CredentialError
from tubepost_credentials.authoring import KeyPair, make_apns_certificate, make_ca, make_server_certificate
from tubepost_credentials.certificate import is_topic, load_certificate


@cache
def ca() -> KeyPair:
    return make_ca()


@cache
def pair() -> KeyPair:
    return make_apns_certificate(
        ca(), {"com.example.app": ["app"], "com.example.app.voip": ["voip"]}, ["Production"], days=30
    )


def secrets_of(pem: bytes) -> set[str]:
    return {line for line in pem.decode().splitlines() if not line.startswith("-----")}


def test_topics_environment_and_lifetime_are_read() -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    assert credential.topics == ("com.example.app", "com.example.app.voip")
    assert credential.default_topic == "com.example.app"
    assert credential.environments == {"Production"}
    assert credential.not_after - credential.not_before == timedelta(days=30)
    assert credential.not_before.tzinfo is UTC
    assert not credential.warnings
    assert len(credential.fingerprint) == 64


def test_a_universal_certificate_is_for_both_environments() -> None:
    made = make_apns_certificate(ca(), ["com.example.app"])
    credential = load_certificate(made.certificate_pem, made.private_key_pem)
    assert credential.environments == {"Production", "Sandbox"}


def test_a_certificate_without_apples_extensions_says_nothing_and_warns() -> None:
    made = make_apns_certificate(ca(), [], [])
    credential = load_certificate(made.certificate_pem, made.private_key_pem)
    assert credential.topics == ()
    assert credential.default_topic is None
    assert credential.environments == frozenset()
    assert "names no topic" in credential.warnings[0]


def test_rsa_keys_are_taken() -> None:
    made = make_apns_certificate(ca(), ["com.example.app"], rsa_key=True)
    assert load_certificate(made.certificate_pem, made.private_key_pem).topics == ("com.example.app",)


def test_the_leaf_is_found_in_any_order_and_comes_first() -> None:
    straight = load_certificate(pair().certificate_pem + ca().certificate_pem, pair().private_key_pem)
    reverse = load_certificate(ca().certificate_pem + pair().certificate_pem, pair().private_key_pem)
    assert straight == reverse
    assert straight.certificate_pem.startswith(pair().certificate_pem.strip()[:200])
    assert (
        straight.fingerprint != load_certificate(pair().certificate_pem, pair().private_key_pem).fingerprint
    )


def test_key_and_certificate_may_stand_in_one_file() -> None:
    both = pair().certificate_pem + pair().private_key_pem
    assert load_certificate(both, both).private_key_pem == pair().private_key_pem


def test_the_ssl_module_takes_what_comes_out(tmp_path: Path) -> None:
    credential = load_certificate(ca().certificate_pem + pair().certificate_pem, pair().private_key_pem)
    path = tmp_path / "pair.pem"
    path.write_bytes(credential.certificate_pem + credential.private_key_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path)


@pytest.mark.parametrize(
    ("days", "word"), [(-1, "not-yet-valid"), (1, "valid"), (29, "valid"), (31, "expired")]
)
def test_validity(days: int, word: str) -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    moment = credential.not_before + timedelta(days=days)
    assert credential.validity(moment) == word
    assert credential.validity(moment.timestamp()) == word


def test_the_ends_of_the_lifetime_are_inside() -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    assert credential.validity(credential.not_before) == "valid"
    assert credential.validity(credential.not_after) == "valid"


def test_description_and_repr_hold_no_key() -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    text = json.dumps(credential.describe()) + repr(credential) + repr(pair())
    assert credential.describe()["notAfter"].endswith("Z")
    assert "PRIVATE" not in text
    assert not any(line in text for line in secrets_of(pair().private_key_pem))


def encrypted(kind: PrivateFormat) -> bytes:
    key = load_pem_private_key(pair().private_key_pem, None)
    return key.private_bytes(Encoding.PEM, kind, BestAvailableEncryption(b"secret"))


def p12() -> bytes:
    key = load_pem_private_key(pair().private_key_pem, None)
    certificate = load_pem_x509_certificate(pair().certificate_pem)
    return pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, NoEncryption())  # type: ignore[arg-type]


def der_certificate() -> bytes:
    return load_pem_x509_certificate(pair().certificate_pem).public_bytes(Encoding.DER)


def damaged(pem: bytes) -> bytes:
    lines = pem.splitlines()
    return b"\n".join([lines[0], b"AAAA", *lines[2:]])


BAD: dict[str, tuple[Callable[[], tuple[bytes, bytes]], str]] = {
    "empty": (lambda: (b"", pair().private_key_pem), "is empty"),
    "blank key": (lambda: (pair().certificate_pem, b" \n"), "private key is empty"),
    "words": (lambda: (b"not a certificate", pair().private_key_pem), "not PEM"),
    "a .p12": (lambda: (p12(), pair().private_key_pem), "p12"),
    "a .p12 as the key": (lambda: (pair().certificate_pem, p12()), "p12"),
    "DER": (lambda: (der_certificate(), pair().private_key_pem), "DER"),
    "twice base64": (lambda: (b"LS0tLS1CRUdJTi" * 20, pair().private_key_pem), "twice"),
    "too large": (lambda: (b"x" * 2_000_000, pair().private_key_pem), "larger"),
    "another's key": (
        lambda: (pair().certificate_pem, make_server_certificate(ca(), ["x"]).private_key_pem),
        "does not belong",
    ),
    "swapped": (lambda: (pair().private_key_pem, pair().certificate_pem), "no private key"),
    "the key twice": (
        lambda: (pair().private_key_pem, pair().private_key_pem),
        "where a certificate was expected",
    ),
    "two keys": (lambda: (pair().certificate_pem, pair().private_key_pem * 2), "2 private keys"),
    "damaged certificate": (lambda: (damaged(pair().certificate_pem), pair().private_key_pem), "damaged"),
    "damaged key": (lambda: (pair().certificate_pem, damaged(pair().private_key_pem)), "damaged"),
    "encrypted PKCS #8": (lambda: (pair().certificate_pem, encrypted(PrivateFormat.PKCS8)), "encrypted"),
    "encrypted traditional": (
        lambda: (pair().certificate_pem, encrypted(PrivateFormat.TraditionalOpenSSL)),
        "encrypted",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_a_remedy_and_without_content(name: str) -> None:
    make, words = BAD[name]
    certificate, key = make()
    with pytest.raises(CredentialError) as caught:
        load_certificate(certificate, key)
    text = str(caught.value)
    assert words in text
    assert caught.value.remedy
    assert "Remedy: " in text
    assert not any(line in text for line in secrets_of(pair().private_key_pem) if len(line) > 8)


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: b"-----BEGIN " + text.encode()))
def test_any_bytes_give_a_credential_error(data: bytes) -> None:
    with pytest.raises(CredentialError):
        load_certificate(data, pair().private_key_pem)
    with pytest.raises(CredentialError):
        load_certificate(pair().certificate_pem, data)


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nb", "é", "x" * 256])
def test_what_cannot_stand_in_a_header_is_no_topic(bad: str) -> None:
    assert not is_topic(bad)
