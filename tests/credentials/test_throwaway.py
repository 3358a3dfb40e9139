from __future__ import annotations

import ssl
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tubepost_credentials.certificate import load_certificate
from tubepost_credentials.throwaway import (
    KeyPair,
    make_apns_certificate,
    make_ca,
    make_server_certificate,
    make_token_key,
)
from tubepost_credentials.token import load_token


@cache
def ca() -> KeyPair:
    return make_ca()


def test_a_start_can_be_chosen() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = make_apns_certificate(ca(), ["x"], days=1, start=start)
    credential = load_certificate(made.certificate_pem, made.private_key_pem)
    assert credential.validity(datetime(2020, 1, 1, 12, tzinfo=UTC)) == "valid"
    assert credential.validity(datetime(2020, 1, 3, tzinfo=UTC)) == "expired"


def test_an_authority_with_another_kind_of_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(TypeError):
        make_server_certificate(KeyPair(ca().certificate_pem, key), ["localhost"])


def test_a_token_key_can_sign() -> None:
    load_token(make_token_key(), b"ABCDE12345", b"TEAM123456")


def test_the_authority_is_one_to_the_ssl_module() -> None:
    context = ssl.create_default_context(cadata=ca().certificate_pem.decode())
    assert len(context.get_ca_certs()) == 1


def test_no_key_is_shown() -> None:
    assert "PRIVATE KEY" not in repr(ca())
