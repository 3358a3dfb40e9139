"""The webhook's serving certificate and its authority: what to do, given the Secret and the time.

Nothing here talks to the cluster. `plan_certificates` looks at what the Secret holds and at what the API
server trusts (`caBundle` of the webhook configuration) and says what both ought to hold. A new authority is
published before anything is signed by it, so that at no moment a replica shows a certificate that the API
server does not trust.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITIES: Final = "ca.crt"
"""Key of the Secret: certificates of the authorities in use, the newest first, PEM."""
AUTHORITY_KEY: Final = "ca.key"
"""Key of the Secret: private key of the newest authority, PEM."""
CERTIFICATE: Final = "tls.crt"
"""Key of the Secret: the serving certificate, PEM."""
PRIVATE_KEY: Final = "tls.key"
"""Key of the Secret: private key of the serving certificate, PEM."""

AUTHORITY_LIFE = timedelta(days=3 * 365)
"""How long an authority is valid."""
CERTIFICATE_LIFE = timedelta(days=90)
"""How long a serving certificate is valid."""
BACKDATED = timedelta(hours=1)
"""Validity begins so much before now, for API servers whose clocks are late."""


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """What Secret and webhook configuration ought to hold."""

    data: Mapping[str, bytes] | None = field(repr=False)
    """New contents of the Secret; None when those that exist are kept."""
    bundle: bytes
    """What the API server has to trust (PEM, `caBundle`)."""
    settled: bool
    """False when the next step (a certificate of the new authority) waits for `bundle` to be published."""
    reason: str
    """Why `data` changes, for the log; empty when it does not."""
    not_after: datetime
    """End of the validity of the serving certificate."""


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class _State:
    authority: _Authority
    authorities: tuple[x509.Certificate, ...]
    certificate: x509.Certificate
    private_key_pem: bytes


def plan_certificates(
    data: Mapping[str, bytes], published: bytes, *, hosts: Sequence[str], now: datetime
) -> CertificatePlan:
    """Say what Secret and webhook configuration ought to hold.

    Args:
        data: what the Secret holds now, empty when it is new.
        published: what the API server trusts now (PEM), empty when nothing.
        hosts: names that the certificate is for, the Service's.
        now: the time, aware.
    """
    state = _read(data, now)
    if state is None:
        authority = _make_authority(now)
        reason = "there was no certificate" if not data else "the certificate could not be used any more"
        return _plan(authority, (authority.certificate,), _make_certificate(authority, hosts, now), reason)
    authorities = tuple(authority for authority in state.authorities if _valid(authority, now))
    old = (state.certificate, state.private_key_pem)
    if _near_end(state.authority.certificate, now):
        authority = _make_authority(now)
        # Who serves with the old certificate goes on: its authority stays in the bundle.
        both = (authority.certificate, *authorities)
        return _plan(authority, both, old, "the authority comes to its end", settled=False)
    reason = _stale(state, hosts, now)
    if reason and not _contains(published, state.authority.certificate):
        return CertificatePlan(None, _pem(authorities), False, "", state.certificate.not_valid_after_utc)
    if reason:
        return _plan(state.authority, authorities, _make_certificate(state.authority, hosts, now), reason)
    if len(authorities) < len(state.authorities):
        return _plan(state.authority, authorities, old, "an authority has ended")
    return CertificatePlan(None, _pem(authorities), True, "", state.certificate.not_valid_after_utc)


def secret_data(secret: Mapping[str, Any] | None) -> dict[str, bytes]:
    """The contents of a Secret as the API server gives it; what is absent or unreadable is left out."""
    contents: dict[str, bytes] = {}
    for key, text in ((secret or {}).get("data") or {}).items():
        try:
            contents[key] = base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError):
            continue
    return contents


def same_certificates(one: bytes, other: bytes) -> bool:
    """Whether two PEM bundles hold the same certificates; order and white space do not count."""
    return _fingerprints(one) == _fingerprints(other)


def _plan(
    authority: _Authority,
    authorities: tuple[x509.Certificate, ...],
    pair: tuple[x509.Certificate, bytes],
    reason: str,
    *,
    settled: bool = True,
) -> CertificatePlan:
    certificate, key = pair
    bundle = _pem(authorities)
    data = {
        AUTHORITIES: bundle,
        AUTHORITY_KEY: _key_pem(authority.key),
        CERTIFICATE: _pem((certificate,)),
        PRIVATE_KEY: key,
    }
    return CertificatePlan(data, bundle, settled, reason, certificate.not_valid_after_utc)


_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What the library raises for certificates and keys that are damaged, or of a kind that it does not know."""


def _read(data: Mapping[str, bytes], now: datetime) -> _State | None:
    """The Secret's contents, None when something in them does not serve."""
    try:
        return _state(data, now)
    except (KeyError, *_UNREADABLE):
        return None


def _state(data: Mapping[str, bytes], now: datetime) -> _State | None:
    """As `_read`, but for what cannot be read; the library reads some of it only when it is asked for it."""
    authorities = tuple(x509.load_pem_x509_certificates(data[AUTHORITIES]))
    authority_key = load_pem_private_key(data[AUTHORITY_KEY], None)
    certificate = x509.load_pem_x509_certificate(data[CERTIFICATE])
    key = load_pem_private_key(data[PRIVATE_KEY], None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey) or not isinstance(
        key, ec.EllipticCurvePrivateKey
    ):
        return None
    if authorities[0].public_key() != authority_key.public_key() or (
        certificate.public_key() != key.public_key()
    ):
        return None
    if not _valid(authorities[0], now) or not _valid(certificate, now):
        return None
    if not any(_issued_by(certificate, authority) for authority in authorities if _valid(authority, now)):
        return None
    return _State(_Authority(authorities[0], authority_key), authorities, certificate, data[PRIVATE_KEY])


def _stale(state: _State, hosts: Sequence[str], now: datetime) -> str:
    """Why the serving certificate has to be replaced; empty when it has not."""
    if _names(state.certificate) != list(hosts):
        return "the Service's names have changed"
    if not _issued_by(state.certificate, state.authority.certificate):
        return "there is a new authority"
    if _near_end(state.certificate, now):
        return "the certificate comes to its end"
    return ""


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _near_end(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether less than a third of its life is left."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now > certificate.not_valid_after_utc - life / 3


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _contains(bundle: bytes, certificate: x509.Certificate) -> bool:
    return certificate.fingerprint(hashes.SHA256()) in _fingerprints(bundle)


def _fingerprints(bundle: bytes) -> frozenset[bytes]:
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except _UNREADABLE:
        return frozenset()
    return frozenset(certificate.fingerprint(hashes.SHA256()) for certificate in certificates)


def _make_authority(now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = _key_usage(signs_certificates=True)
    # The date tells two authorities apart by name: verifiers look the issuer up by it.
    name = _name(f"Tubepost webhook authority {now.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    builder = (
        _builder(name, name, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _Authority(builder.sign(key, hashes.SHA256()), key)


def _make_certificate(
    authority: _Authority, hosts: Sequence[str], now: datetime
) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    builder = (
        _builder(_name("Tubepost webhook"), issuer.subject, key, now, CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    return builder.sign(authority.key, hashes.SHA256()), _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    begin = now - BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
