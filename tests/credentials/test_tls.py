from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tubepost_credentials import CredentialError
from tubepost_credentials.throwaway import make_ca, make_server_certificate
from tubepost_credentials.tls import client_context, load_authorities, load_key_pair, server_context

CA = make_ca()
PAIR = make_server_certificate(CA, ("localhost",))
OTHER = make_server_certificate(CA, ("localhost",))


def handshake(server: ssl.SSLContext) -> ssl.SSLObject:
    """The client's side of a handshake with this server, which it trusts by the authority."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_alpn_protocols(["h2"])
    load_authorities(client, CA.certificate_pem)
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(there, here, server_hostname="localhost")
    theirs = server.wrap_bio(here, there, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours


def test_a_server_context_serves_with_the_pair() -> None:
    context = server_context(PAIR.certificate_pem, PAIR.private_key_pem, min_version="1.3", alpn=("h2",))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert handshake(context).selected_alpn_protocol() == "h2"


def test_a_context_in_use_takes_another_pair() -> None:
    context = server_context(PAIR.certificate_pem, PAIR.private_key_pem)
    before = handshake(context).getpeercert(binary_form=True)
    load_key_pair(context, OTHER.certificate_pem, OTHER.private_key_pem)
    assert handshake(context).getpeercert(binary_form=True) != before


@pytest.mark.parametrize(
    ("certificate", "private_key"),
    [
        (PAIR.certificate_pem, OTHER.private_key_pem),
        (b"no certificate", PAIR.private_key_pem),
        (PAIR.certificate_pem, b""),
    ],
)
def test_what_is_no_pair_is_refused(certificate: bytes, private_key: bytes) -> None:
    with pytest.raises(ssl.SSLError):
        server_context(certificate, private_key)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password() -> None:
    encrypted = load_pem_private_key(PAIR.private_key_pem, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    with pytest.raises(ValueError, match="encrypted"):
        server_context(PAIR.certificate_pem, encrypted)


def test_nothing_is_left_behind_where_there_are_no_files_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    handshake(server_context(PAIR.certificate_pem, PAIR.private_key_pem))
    assert list(tmp_path.iterdir()) == []


def test_authorities_may_be_named_in_comments_of_any_alphabet() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(context, "# Főtanúsítvány\n".encode() + CA.certificate_pem)
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    "pem", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_authority_is_refused(pem: bytes) -> None:
    with pytest.raises(CredentialError, match="not a PEM certificate"):
        load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)


def test_a_client_trusts_the_authorities_that_it_is_given_and_no_others() -> None:
    ca = make_ca()
    trusting = client_context(authorities=ca.certificate_pem)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(trusting.get_ca_certs()) == 1
    assert client_context().get_ca_certs() == []
    assert client_context().verify_mode == ssl.CERT_REQUIRED
    blind = client_context(verify=False, authorities=ca.certificate_pem)
    assert (blind.verify_mode, blind.check_hostname) == (ssl.CERT_NONE, False)
    with pytest.raises(CredentialError):
        client_context(authorities=b"no certificate")
