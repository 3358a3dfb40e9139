"""Who the client is, according to its TLS certificate."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from tubepost_credentials.certificate import OID_PRODUCTION, OID_SANDBOX, OID_TOPICS
from tubepost_credentials.der import read_topics


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What APNs reads from a client certificate ("Establishing a certificate-based connection to APNs").

    An empty `topics` makes it a bad one; an empty `environments` means that it does not say.
    """

    topics: tuple[str, ...]
    environments: frozenset[str]
    subject: str


def read_certificate(der: bytes) -> ClientCertificate:
    """Read a certificate that TLS has verified already; what cannot be read is left out."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = {
            item.oid: item.value.value
            for item in certificate.extensions
            if isinstance(item.value, x509.UnrecognizedExtension)
        }
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion):
        return ClientCertificate((), frozenset(), "")
    topics = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.USER_ID)]
    if OID_TOPICS in extensions:
        try:
            topics += read_topics(extensions[OID_TOPICS])
        except ValueError:
            topics = []
    environments = {
        name for oid, name in ((OID_PRODUCTION, "Production"), (OID_SANDBOX, "Sandbox")) if oid in extensions
    }
    return ClientCertificate(
        tuple(dict.fromkeys(topics)), frozenset(environments), certificate.subject.rfc4514_string()
    )
