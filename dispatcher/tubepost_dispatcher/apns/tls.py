"""The TLS context of connections to APNs."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tubepost_api.config import RouteTls
from tubepost_credentials import CertificateCredential, TokenCredential

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


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
        ValueError: `ca_pem` holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.set_alpn_protocols(["h2"])
    # RFC 9113, section 9.2.1: neither compression nor renegotiation.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_pem is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        text = ca_pem.decode("ascii", "replace")
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise ValueError("the CA is no PEM certificate")
        context.load_verify_locations(cadata=text)
    if isinstance(credential, CertificateCredential):
        # The ssl module reads certificates from files only; one file takes chain and key.
        with _file(credential.certificate_pem + credential.private_key_pem) as path:
            context.load_cert_chain(path, password=_no_password)
    return context


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """Give a path that leads to `data` for the time being, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tubepost", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp(prefix="tubepost-")  # readable for its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield path
    finally:
        if not path.startswith("/proc/"):
            Path(path).unlink()


def _no_password() -> bytes:
    # Otherwise OpenSSL asks on the terminal.
    raise ValueError("the private key is encrypted")
