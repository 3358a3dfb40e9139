"""Reading PEM text (RFC 7468) and saying what is wrong with it, without ever quoting it."""

from __future__ import annotations

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tubepost_credentials.errors import CredentialError

MAX_PEM_SIZE = 1024 * 1024
"""Bytes. Secrets are limited to this size, and nothing legitimate comes near it."""

_KEY_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,32}PRIVATE KEY)-----[^-]+-----END \1-----")
_DER_SEQUENCE = 0x30

_FROM_P12 = (
    "export it as PEM: openssl pkcs12 -in FILE.p12 -clcerts -nokeys -out tls.crt and "
    "openssl pkcs12 -in FILE.p12 -nocerts -nodes -out tls.key (add -legacy for files from older systems)"
)


def check_pem(data: bytes, what: str, wanted: str) -> None:
    """Refuse what is not PEM at all; `what` names the value, and `wanted` what should be there.

    Raises:
        CredentialError: empty, too large, binary (DER, PKCS #12), base64 without its frame, or other text.
    """
    if not data.strip():
        raise CredentialError(f"{what} is empty", f"put {wanted} there")
    if len(data) > MAX_PEM_SIZE:
        raise CredentialError(f"{what} is larger than {MAX_PEM_SIZE} bytes", f"put only {wanted} there")
    if b"-----BEGIN " in data:
        return
    if data[0] == _DER_SEQUENCE:
        raise CredentialError(f"{what} is binary (DER or a .p12 file), not PEM", _FROM_P12)
    if re.fullmatch(rb"[A-Za-z0-9+/=\s]+", data) and len(data) > 64:
        raise CredentialError(
            f"{what} is base64 without its PEM frame, or was base64-encoded twice",
            f"put {wanted} there as it is, with its -----BEGIN and -----END lines",
        )
    raise CredentialError(f"{what} is not PEM text", f"put {wanted} there")


def private_key_block(data: bytes, what: str, wanted: str) -> bytes:
    """Return the only private key block in `data`, which may hold other blocks (certificates) too.

    Raises:
        CredentialError: there is none, or more than one, or it is encrypted.
    """
    check_pem(data, what, wanted)
    if b"ENCRYPTED" in data:
        raise CredentialError(
            f"{what} is encrypted",
            "remove its pass phrase: openssl pkey -in ENCRYPTED.key -out tls.key",
        )
    blocks = list(_KEY_BLOCK.finditer(data))
    if not blocks:
        raise CredentialError(f"{what} holds no private key", f"put {wanted} there")
    if len(blocks) > 1:
        raise CredentialError(f"{what} holds {len(blocks)} private keys", "leave exactly one in it")
    return blocks[0].group(0) + b"\n"


def load_key(block: bytes, what: str) -> object:
    """Parse one private key block.

    Raises:
        CredentialError: damaged, or of a kind that the library does not know.
    """
    try:
        return load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: the library's message might quote the key.
        raise CredentialError(
            f"{what} is damaged or of an unknown kind", "export the key again and copy it whole"
        ) from None
