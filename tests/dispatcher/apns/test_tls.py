from __future__ import annotations

import ssl

import pytest

from tests.dispatcher.apns.peer import authority
from tests.dispatcher.apns.support import certificate_credential, token_credential
from tubepost_api.config import RouteTls
from tubepost_credentials.errors import CredentialError
from tubepost_dispatcher.apns.tls import client_context


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
