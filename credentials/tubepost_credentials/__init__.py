"""Certificates, provider-token keys and all other Secrets: read, checked, and made for tests."""

from tubepost_credentials.certificate import CertificateCredential, Environment, load_certificate
from tubepost_credentials.errors import CredentialError, Fault, Validity
from tubepost_credentials.token import TokenCredential, load_token

__all__ = [
    "CertificateCredential",
    "CredentialError",
    "Environment",
    "Fault",
    "TokenCredential",
    "Validity",
    "load_certificate",
    "load_token",
]
