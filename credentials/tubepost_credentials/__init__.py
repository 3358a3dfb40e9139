"""Certificates, provider-token keys and all other Secrets: read, checked, and made for tests.

Secrets are read by `secrets.check`; `certificate` and `token` parse a credential that is not in one.
"""

from tubepost_credentials.certificate import CertificateCredential, Environment
from tubepost_credentials.errors import CredentialError, Fault, Validity
from tubepost_credentials.token import TokenCredential

__all__ = [
    "CertificateCredential",
    "CredentialError",
    "Environment",
    "Fault",
    "TokenCredential",
    "Validity",
]
