"""Throw-away credentials for tests, the simulator and trying things out. Nothing here is for production."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tubepost_credentials.certificate import OID_PRODUCTION, OID_SANDBOX, OID_TOPICS, Environment
from tubepost_credentials.der import write_topics

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_DER_NULL = b"\x05\x00"
BOTH: tuple[Environment, ...] = ("Production", "Sandbox")
"""The environments of a universal certificate."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key, both PEM. Its `repr` holds no key."""

    certificate_pem: bytes = field(repr=False)
    private_key_pem: bytes = field(repr=False)


def make_ca(name: str = "Tubepost throw-away CA", days: float = 365) -> KeyPair:
    """Make a self-signed authority that lives for `days` from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(subject, subject, key, days, None)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _finish(builder, key, key)


def make_server_certificate(
    ca: KeyPair, hosts: Sequence[str], days: float = 365, *, start: datetime | None = None
) -> KeyPair:
    """Make a server certificate for names and addresses; the first of `hosts` is the common name.

    `days` of life begin at `start` (an hour ago when None).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    extensions: list[x509.ExtensionType] = [
        x509.SubjectAlternativeName([_general_name(host) for host in hosts]),
        usage,
    ]
    return _issue(ca, subject, key, days, start, extensions)


def make_apns_certificate(
    ca: KeyPair,
    topics: Sequence[str] | Mapping[str, Sequence[str]],
    environments: Iterable[Environment] = BOTH,
    days: float = 365,
    *,
    start: datetime | None = None,
    rsa_key: bool = False,
) -> KeyPair:
    """Make a client certificate as Apple issues them: UID, topic and environment extensions.

    The first topic becomes the subject's UID; a mapping gives each topic's kinds, a sequence means `app`.
    `days` of life begin at `start` (an hour ago when None). Keys are P-256, or RSA as Apple's are with
    `rsa_key` (slow to make).
    """
    kinds = dict(topics) if isinstance(topics, Mapping) else dict.fromkeys(topics, ("app",))
    key: _PrivateKey = (
        rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
    )
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services: test")]
    extensions: list[x509.ExtensionType] = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])]
    if kinds:
        attributes.insert(0, x509.NameAttribute(NameOID.USER_ID, next(iter(kinds))))
        extensions.append(x509.UnrecognizedExtension(OID_TOPICS, write_topics(kinds)))
    marks: dict[Environment, x509.ObjectIdentifier] = {"Production": OID_PRODUCTION, "Sandbox": OID_SANDBOX}
    extensions += [x509.UnrecognizedExtension(marks[name], _DER_NULL) for name in sorted(set(environments))]
    return _issue(ca, x509.Name(attributes), key, days, start, extensions)


def make_token_key() -> bytes:
    """Make a provider-token key: the text of a .p8 file."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _PrivateKey, days: float, start: datetime | None
) -> x509.CertificateBuilder:
    begin = start or datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )


def _issue(
    ca: KeyPair,
    subject: x509.Name,
    key: _PrivateKey,
    days: float,
    start: datetime | None,
    extensions: list[x509.ExtensionType],
) -> KeyPair:
    authority = x509.load_pem_x509_certificate(ca.certificate_pem)
    signer = load_pem_private_key(ca.private_key_pem, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not one that make_ca makes")
    builder = _builder(subject, authority.subject, key, days, start)
    # Key identifiers are what strict verifiers (Python 3.13's default) insist on.
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return _finish(builder, key, signer)


def _finish(
    builder: x509.CertificateBuilder, key: _PrivateKey, signer: ec.EllipticCurvePrivateKey
) -> KeyPair:
    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(certificate.public_bytes(Encoding.PEM), _key_pem(key))


def _key_pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
