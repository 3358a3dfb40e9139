"""Certificate authentication: an APNs client certificate with its key; also a server's own.

Apple puts the topics into the subject's UID and, for universal certificates, into an extension of its own
("Establishing a certificate-based connection to APNs").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tubepost_credentials import der
from tubepost_credentials.errors import CredentialError, Fault, Remark, Validity
from tubepost_credentials.pem import check_pem, load_key, private_key_blocks, several_keys, tidy

Environment = Literal["Production", "Sandbox"]
"""Which of Apple's two services a certificate is for."""

OID_TOPICS = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")
"""Apple's extension that lists the topics of a universal certificate."""
OID_SANDBOX = x509.ObjectIdentifier("1.2.840.113635.100.6.3.1")
"""Present when the certificate is good for the development service."""
OID_PRODUCTION = x509.ObjectIdentifier("1.2.840.113635.100.6.3.2")
"""Present when the certificate is good for the production service."""

Side = Literal["client", "server"]
"""Who shows a certificate: a client of APNs, or a server such as the SMTP listener."""

_WANTED_CERTIFICATE: Mapping[Side, str] = {
    "client": "the APNs client certificate in PEM (-----BEGIN CERTIFICATE-----)",
    "server": "the server's certificate chain in PEM (-----BEGIN CERTIFICATE-----)",
}
_WANTED_KEY = "the certificate's private key in PEM (-----BEGIN PRIVATE KEY-----)"


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """A certificate whose key has been checked to match. Its `repr` holds no key.

    `certificate_pem` starts with the leaf, the rest of the chain follows. `topics` are in Apple's order,
    `default_topic` is the subject's UID. An empty `environments` means that the certificate does not say
    (MDM vendors' and home-made ones): then nothing can be concluded. Times are in UTC. `fingerprint` is
    SHA-256 in hex over certificates and public key. `warnings` are sentences for the user; `remarks` are
    about how certificate and key were written, and which of several was taken.
    """

    certificate_pem: bytes = field(repr=False)
    private_key_pem: bytes = field(repr=False)
    topics: tuple[str, ...]
    default_topic: str | None
    environments: frozenset[Environment]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    subject: str = ""
    issuer: str = ""
    warnings: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = field(default=(), compare=False)
    chosen_until: datetime | None = field(default=None, compare=False)
    """When another of several certificates may be the better one; None: never, or there is one only."""

    def validity(self, now: datetime | float) -> Validity:
        """Say whether `now` (aware, or unix seconds) lies in the certificate's lifetime, ends included."""
        return _validity(self.not_before, self.not_after, _moment(now))

    def describe(self) -> dict[str, Any]:
        """Facts for people and JSON; nothing secret."""
        return {
            "kind": "certificate",
            "subject": self.subject,
            "issuer": self.issuer,
            "topics": list(self.topics),
            "defaultTopic": self.default_topic,
            "environments": sorted(self.environments),
            "notBefore": _stamp(self.not_before),
            "notAfter": _stamp(self.not_after),
            "fingerprint": self.fingerprint,
            "warnings": [*self.warnings, *map(str, self.remarks)],
        }


def load_certificate(
    cert_pem: bytes,
    key_pem: bytes,
    *,
    side: Side = "client",
    now: datetime | float | None = None,
    environment: Environment | None = None,
) -> CertificateCredential:
    """Read a certificate (a chain, in any order) and its key.

    The leaf is the certificate that the key belongs to. Of several (an old and a renewed one), that for
    `environment` is taken before others, then one that is in date, then the one that will be valid longest;
    where all are out of date, the next one that will be valid, else the last one that was. Of several keys
    the one that belongs to it is taken. Being in date is not checked here otherwise: see
    `CertificateCredential.validity`.

    Args:
        cert_pem: certificates.
        key_pem: the private key; may hold certificates as well.
        side: who shows the certificate.
        now: aware, or unix seconds: when a certificate has to be in date to be preferred. None: whenever.
        environment: where it is to be used, None: not known.

    Raises:
        CredentialError: what is wrong and how to fix it, never with any of the content.
    """
    what, wanted = f"the {side} certificate", _WANTED_CERTIFICATE[side]
    remarks: list[Remark] = []
    cert_pem = _tidied(cert_pem, 0, what, remarks)
    key_pem = _tidied(key_pem, 1, f"{what}'s private key", remarks)
    check_pem(cert_pem, what, wanted)
    blocks = private_key_blocks(key_pem, f"{what}'s private key", _WANTED_KEY)
    try:
        certificates = x509.load_pem_x509_certificates(cert_pem)
    except (ValueError, x509.InvalidVersion):
        certificates = []
    if not certificates:
        detail = "holds a private key where" if b"PRIVATE KEY" in cert_pem else "is damaged:"
        raise CredentialError(
            f"{what} {detail} a certificate was expected", f"put {wanted} there, copied whole"
        )
    keys = _keys(blocks, f"{what}'s private key")
    own = [item for item in certificates if _key_of(item) in keys]
    candidates = [item for item in own if _is_legible(item)]
    if own and not candidates:
        raise CredentialError(
            f"{what} is damaged: a name or a date in it cannot be read", f"put {wanted} there, copied whole"
        )
    if not candidates:
        source = "from the same export (.p12)" if side == "client" else "that were issued together"
        raise CredentialError(
            f"the private key does not belong to {what}",
            f"take certificate and key {source}, and change both together",
            Fault.KEY_MISMATCH,
        )
    leaf = max(candidates, key=lambda item: _preference(item, now, environment))
    spki = _key_of(leaf)
    others = list(dict.fromkeys(item for item in candidates if item != leaf))
    if others:
        remarks.append(_chosen(leaf, others, now))
    if len(blocks) > 1:
        message = f"of the {len(blocks)} private keys that of the certificate is used"
        remarks.append(Remark("Chosen", 1, message, "leave only that one in it"))
    # Leaves that are not used have no place in the chain that is sent.
    chain = [leaf, *(item for item in certificates if item not in candidates)]
    until = _next_change([leaf, *others], now) if others else None
    return replace(_describe_leaf(leaf, chain, keys[spki], spki, side, remarks), chosen_until=until)


def _tidied(pem: bytes, part: int, what: str, remarks: list[Remark]) -> bytes:
    text, untidy = tidy(pem)
    remedy = "put it there as a file, for example with kubectl create secret tls"
    if untidy:
        remarks.append(Remark("Untidy", part, f"{what} has {untidy}", remedy))
    return text


def _keys(blocks: list[bytes], what: str) -> dict[bytes, bytes]:
    """The private keys by their public ones."""
    keys: dict[bytes, bytes] = {}
    for block in blocks:
        key = cast("PrivateKeyTypes", load_key(block, what))
        if keys.setdefault(_spki(key.public_key()), block) is not block:
            raise several_keys(what, len(blocks))
    return keys


def _preference(
    leaf: x509.Certificate, now: datetime | float | None, environment: Environment | None
) -> tuple[bool, int, float]:
    """What is greater is better: see `load_certificate`."""
    marks = _environments(_extensions(leaf, []))
    fits = environment is None or not marks or environment in marks
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    match "valid" if now is None else _validity(begin, end, _moment(now)):
        case "valid":
            return fits, 2, end.timestamp()
        case "not-yet-valid":
            return fits, 1, -begin.timestamp()
    return fits, 0, end.timestamp()


def _next_change(leaves: list[x509.Certificate], now: datetime | float | None) -> datetime | None:
    """The next begin or end of one of several lifetimes."""
    if now is None:
        return None
    moments = [item.not_valid_before_utc for item in leaves]
    # The last second is inside the lifetime.
    moments += [item.not_valid_after_utc + timedelta(seconds=1) for item in leaves]
    return min((moment for moment in moments if moment > _moment(now)), default=None)


def _chosen(leaf: x509.Certificate, others: list[x509.Certificate], now: datetime | float | None) -> Remark:
    count = f"of the {len(others) + 1} certificates for which there is a key"
    message = (
        f"{count} the one from {_day(leaf.not_valid_before_utc)} to {_day(leaf.not_valid_after_utc)} is used"
    )
    last = max(others, key=lambda item: item.not_valid_after_utc)
    if (
        now is not None
        and last.not_valid_before_utc > _moment(now)
        and last.not_valid_after_utc > leaf.not_valid_after_utc
    ):
        begin = _day(last.not_valid_before_utc)
        remedy = "take the old one out once the other is in use"
        return Remark("Chosen", 0, f"{message}, another is not valid before {begin}", remedy)
    return Remark("Chosen", 0, message, "leave only that one and its chain in it")


def _describe_leaf(
    leaf: x509.Certificate,
    chain: list[x509.Certificate],
    key_block: bytes,
    spki: bytes,
    side: Side,
    remarks: list[Remark],
) -> CertificateCredential:
    warnings: list[str] = []
    digest = hashlib.sha256()
    for item in chain:
        digest.update(item.public_bytes(Encoding.DER))
    digest.update(spki)
    default_topic = _uid(leaf)
    extensions = _extensions(leaf, warnings)
    topics = _topics(extensions, warnings)
    if default_topic is not None and default_topic not in topics:
        topics = (default_topic, *topics)
    if not topics and side == "client":
        warnings.append("The certificate names no topic: it may not be an APNs certificate.")
    return CertificateCredential(
        certificate_pem=b"".join(item.public_bytes(Encoding.PEM) for item in chain),
        private_key_pem=key_block,
        topics=topics,
        default_topic=default_topic,
        environments=_environments(extensions),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        fingerprint=digest.hexdigest(),
        subject=_name(leaf.subject),
        issuer=_name(leaf.issuer),
        warnings=tuple(warnings),
        remarks=tuple(remarks),
    )


def _environments(extensions: Mapping[x509.ObjectIdentifier, bytes]) -> frozenset[Environment]:
    marks: Mapping[x509.ObjectIdentifier, Environment] = {
        OID_PRODUCTION: "Production",
        OID_SANDBOX: "Sandbox",
    }
    return frozenset(name for mark, name in marks.items() if mark in extensions)


def _moment(now: datetime | float) -> datetime:
    return now if isinstance(now, datetime) else datetime.fromtimestamp(now, UTC)


def _validity(begin: datetime, end: datetime, moment: datetime) -> Validity:
    if moment < begin:
        return "not-yet-valid"
    return "expired" if moment > end else "valid"


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_of(certificate: x509.Certificate) -> bytes:
    try:
        return _spki(certificate.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):  # of a kind that the library cannot read: not ours
        return b""


def _is_legible(certificate: x509.Certificate) -> bool:
    """Whether names and dates can be read, which the library does only when it is asked for them."""
    try:
        _name(certificate.subject)
        _name(certificate.issuer)
        _day(certificate.not_valid_before_utc)
        _day(certificate.not_valid_after_utc)
    except ValueError:
        return False
    return True


def _uid(leaf: x509.Certificate) -> str | None:
    for attribute in leaf.subject.get_attributes_for_oid(NameOID.USER_ID):
        value = attribute.value
        if isinstance(value, str) and is_topic(value):
            return value
    return None


def _extensions(leaf: x509.Certificate, warnings: list[str]) -> dict[x509.ObjectIdentifier, bytes]:
    """Values of the extensions that the library does not know, which Apple's are."""
    try:
        found = list(leaf.extensions)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        warnings.append("The certificate's extensions cannot be read.")
        return {}
    return {
        item.oid: item.value.value for item in found if isinstance(item.value, x509.UnrecognizedExtension)
    }


def _topics(extensions: dict[x509.ObjectIdentifier, bytes], warnings: list[str]) -> tuple[str, ...]:
    value = extensions.get(OID_TOPICS)
    if value is None:
        return ()
    try:
        topics = der.read_topics(value)
    except ValueError:
        warnings.append("The certificate's list of topics cannot be read.")
        return ()
    return tuple(dict.fromkeys(topic for topic in topics if is_topic(topic)))


def is_topic(text: str) -> bool:
    """Whether `text` is valid in an `apns-topic` header: visible ASCII, 1 to 255 characters."""
    return 0 < len(text) <= 255 and all("!" <= char <= "~" for char in text)


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
