"""The TLS context of connections to APNs."""

from __future__ import annotations

import ssl

from tubepost_api.config import RouteTls
from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_credentials.tls import TLS_VERSIONS, load_authorities, load_key_pair


def client_context(
    tls: RouteTls,
    credential: CertificateCredential | TokenCredential | None,
    ca_pem: bytes | None,
) -> ssl.SSLContext:
    """Build the context for a route: ALPN `h2`, TLS 1.2 at least, the client certificate if there is one.

    `ca_pem` None: the system's trust store. `tls.ciphers` concerns TLS 1.2 only, as OpenSSL has it. With
    `tls.verify` False the server's certificate is not looked at: for simulators.

    Raises:
        ssl.SSLError: certificate, key or cipher list are not usable.
        CredentialError: `ca_pem` holds no certificate.
    """
    context = _without_trust(tls, credential)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_pem is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        load_authorities(context, ca_pem)
    return context


def check_client_options(tls: RouteTls, credential: CertificateCredential | TokenCredential) -> None:
    """Raise what `client_context` would raise for these options, without the context.

    Authorities are not looked at: reading the system's takes about 20 ms, too long for a check of every
    route on an event loop, and a route's own are checked by the reader of Secrets.

    Raises:
        ssl.SSLError: OpenSSL knows none of the ciphers, or finds key or certificate too weak.
    """
    _without_trust(tls, credential)


def _without_trust(
    tls: RouteTls, credential: CertificateCredential | TokenCredential | None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = TLS_VERSIONS[tls.min_version]
    context.set_alpn_protocols(["h2"])
    # RFC 9113, section 9.2.1: neither compression nor renegotiation.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    if isinstance(credential, CertificateCredential):
        load_key_pair(context, credential.certificate_pem, credential.private_key_pem)
    return context
