"""TLS contexts from PEM in memory: the `ssl` module itself reads certificates and keys from files only."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tubepost_credentials.errors import CredentialError

TlsVersion = Literal["1.2", "1.3"]
"""The TLS versions that may be the lowest one."""

TLS_VERSIONS: Final[Mapping[TlsVersion, ssl.TLSVersion]] = {
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
"""The same as the `ssl` module names them."""


def load_key_pair(context: ssl.SSLContext, certificate_pem: bytes, private_key_pem: bytes) -> None:
    """Give a context its certificate chain (the leaf first) and private key.

    A context that is in use can be given another pair: open connections keep the one they began with.

    Raises:
        ssl.SSLError: one of them cannot be read, OpenSSL finds it too weak, or they do not belong together.
        ValueError: the private key is encrypted.
    """
    with _path_of(certificate_pem) as certificate, _path_of(private_key_pem) as private_key:
        context.load_cert_chain(certificate, private_key, password=_no_password)


def server_context(
    certificate_pem: bytes,
    private_key_pem: bytes,
    *,
    min_version: TlsVersion = "1.2",
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    """A server's context, with the pair loaded as by `load_key_pair`.

    Raises:
        ssl.SSLError: one of them cannot be read, OpenSSL finds it too weak, or they do not belong together.
        ValueError: the private key is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = TLS_VERSIONS[min_version]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    load_key_pair(context, certificate_pem, private_key_pem)
    return context


def load_authorities(context: ssl.SSLContext, pem: bytes) -> None:
    """Let a context trust these certificate authorities.

    Raises:
        CredentialError: `pem` holds no certificate, or a damaged one.
    """
    # Bundles name their authorities in comments, not always in ASCII; what counts is base64.
    text = pem.decode("ascii", "ignore")
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise CredentialError(
            "this is not a PEM certificate",
            "put the authorities' certificates there (-----BEGIN CERTIFICATE-----)",
        ) from None


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its subject, and the end of its certificate in unix seconds."""

    subject: str
    not_after: float


def authorities_of(pem: bytes) -> tuple[Authority, ...]:
    """The authorities in a PEM file; empty where it holds none, or a certificate of another kind as well.

    Raises:
        CredentialError: `pem` holds no certificate, or a damaged one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(context, pem)
    found = context.get_ca_certs()
    if context.cert_store_stats()["x509"] != len(found):
        return ()
    return tuple(Authority(_subject(each), ssl.cert_time_to_seconds(str(each["notAfter"]))) for each in found)


def _subject(certificate: Mapping[str, object]) -> str:
    names = certificate["subject"]
    assert isinstance(names, tuple)
    return ", ".join(f"{name}={value}" for relative in names for name, value in relative)


def client_context(*, verify: bool = True, authorities: bytes | None = None) -> ssl.SSLContext:
    """A client's context that trusts these authorities and no others. None: it trusts nobody.

    Raises:
        CredentialError: `authorities` holds no certificate, or a damaged one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is not None:
        load_authorities(context, authorities)
    return context


@contextlib.contextmanager
def _path_of(data: bytes) -> Iterator[str]:
    """Give a path under which `data` can be read inside the block: in memory where the system can do that."""
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
    raise ValueError("the private key is encrypted; store it without a passphrase")
