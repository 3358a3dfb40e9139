from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.dispatcher.apns.peer import authority
from tests.dispatcher.apns.support import certificate_credential, token_credential
from tubepost_api.config import RouteTls
from tubepost_credentials import CertificateCredential, CredentialError
from tubepost_credentials.certificate import load_certificate
from tubepost_dispatcher.apns.tls import check_client_options, client_context


def test_the_servers_certificate_is_verified_unless_told_otherwise() -> None:
    context = client_context(RouteTls(), token_credential(), authority().certificate_pem)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    lax = client_context(RouteTls(verify=False), token_credential(), None)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)


def test_the_lowest_version_of_tls() -> None:
    assert client_context(RouteTls(), None, None).minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_context(RouteTls(min_version="1.3"), None, None).minimum_version is ssl.TLSVersion.TLSv1_3


def test_ciphers_of_tls_1_2() -> None:
    context = client_context(RouteTls(ciphers="ECDHE-RSA-AES256-GCM-SHA384"), None, None)
    names = {cipher["name"] for cipher in context.get_ciphers() if not cipher["name"].startswith("TLS_")}
    assert names == {"ECDHE-RSA-AES256-GCM-SHA384"}
    with pytest.raises(ssl.SSLError):
        client_context(RouteTls(ciphers="NO-SUCH-CIPHER"), None, None)


def test_a_client_certificate_is_loaded() -> None:
    client_context(RouteTls(), certificate_credential(), authority().certificate_pem)


def test_authorities_that_are_none() -> None:
    with pytest.raises(CredentialError):
        client_context(RouteTls(), None, b"not PEM")


def weak_credential() -> CertificateCredential:
    """A client certificate with an RSA key of 1024 bits, which OpenSSL refuses."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return load_certificate(certificate.public_bytes(Encoding.PEM), key_pem)


def test_what_a_context_would_refuse_is_refused_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = weak_credential()
    for refuse in (check_client_options, lambda tls, credential: client_context(tls, credential, None)):
        with pytest.raises(ssl.SSLError):
            refuse(RouteTls(ciphers="NO-SUCH-CIPHER"), token_credential())
        with pytest.raises(ssl.SSLError, match=r"(?i)too.small"):
            refuse(RouteTls(), weak)

    def never(*_: object) -> None:
        raise AssertionError("the system's trust store is read")

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", never)
    check_client_options(RouteTls(), certificate_credential())
