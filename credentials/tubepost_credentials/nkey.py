"""How a client of NATS logs in by a key: an nkey's seed, or a credentials file with a JWT and a seed.

An nkey is a type byte, 32 bytes of Ed25519 and a CRC-16 in little endian, as Base32 without padding; a seed
has two bytes in front, of which the first says that it is one, and both together of what type (the package
nkeys of NATS).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tubepost_credentials.errors import CredentialError

_SEED, _USER = 18 << 3, 20 << 3
"""Type bytes: they make the letters S and U."""
_LENGTH = 2 + 32 + 2
_LATEST = 253_402_300_799.0
"""The end of the year 9999, in Unix seconds: dates end there."""
_LARGEST = 64 * 1024
"""Bytes of a credentials file: with permissions it has a few hundred."""
_SECTION = r"-{3,} *BEGIN %s *-{3,}\s+(\S+)\s+-{3,} *END %s *-{3,}"
_JWT = re.compile(_SECTION % ("NATS USER JWT", "NATS USER JWT"))
_KEY = re.compile(_SECTION % ("USER NKEY SEED", "USER NKEY SEED"))
_MAKE_SEED = "put the seed of a user's nkey there, which begins with SU (`nk -gen user`)"
_MAKE_FILE = "put the whole credentials file of a user there (`nsc generate creds`)"


@dataclass(frozen=True, slots=True)
class NkeyCredential:
    """A user of NATS. Its `repr` holds no key and no token.

    `public` is its public key. `token` is the JWT of a credentials file, None for an nkey alone; `not_after`
    when that ends, in Unix seconds, None: it does not.
    """

    public: str
    _key: Ed25519PrivateKey = field(repr=False, compare=False)
    token: str | None = field(default=None, repr=False)
    not_after: float | None = None

    def sign(self, nonce: str) -> bytes:
        """The answer to a server's nonce, in Base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def load_nkey(value: bytes) -> NkeyCredential:
    """Read the seed of a user's nkey; comment lines around it are dropped, as NATS' own tools do.

    Raises:
        CredentialError: it is none.
    """
    lines = [line.strip() for line in value.decode("latin-1").splitlines()]
    words = [line for line in lines if line and not line.startswith(("#", "-"))]
    if len(words) != 1:
        raise CredentialError(f"the seed {'is empty' if not words else 'is more than one line'}", _MAKE_SEED)
    return _seed(words[0], "the seed", _MAKE_SEED)


def load_nats_file(value: bytes) -> NkeyCredential:
    """Read a credentials file of NATS.

    Raises:
        CredentialError: it is none, or its JWT is of another key than its seed.
    """
    if len(value) > _LARGEST:
        raise CredentialError(f"the file has more than {_LARGEST} bytes", _MAKE_FILE)
    text = value.decode("latin-1")
    found = {"BEGIN NATS USER JWT": _JWT.search(text), "BEGIN USER NKEY SEED": _KEY.search(text)}
    for title, section in found.items():
        if section is None:
            raise CredentialError(f"the file has no section {title}", _MAKE_FILE)
    token, seed = (section[1] for section in found.values() if section is not None)
    credential = _seed(seed, "the seed in the file", _MAKE_FILE)
    subject, end = _claims(token)
    if subject != credential.public:
        raise CredentialError("the JWT in the file is of another key than the seed", _MAKE_FILE)
    return replace(credential, token=token, not_after=end)


def _claims(token: str) -> tuple[str, float | None]:
    """Whom a JWT is of, and when it ends. Its signature is the servers' affair."""
    try:
        _, body, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        end = claims.get("exp") or None
        return str(claims["sub"]), None if end is None else max(0.0, min(float(end), _LATEST))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise CredentialError("the JWT in the file cannot be read", _MAKE_FILE) from None


def _seed(text: str, what: str, remedy: str) -> NkeyCredential:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise CredentialError(f"{what} is not Base32", remedy) from None
    if len(raw) != _LENGTH or raw[0] & 0xF8 != _SEED:
        raise CredentialError(f"{what} is no seed", remedy)
    if _checksum(raw[:-2]) != raw[-2:]:
        raise CredentialError(f"{what} is damaged: its checksum is another", remedy)
    if (raw[0] & 7) << 5 | raw[1] >> 3 != _USER:
        raise CredentialError(f"{what} is not a user's", remedy)
    key = Ed25519PrivateKey.from_private_bytes(raw[2:-2])
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    body = bytes([_USER]) + public
    return NkeyCredential(base64.b32encode(body + _checksum(body)).decode().rstrip("="), key)


def _checksum(raw: bytes) -> bytes:
    """CRC-16/XMODEM, in little endian."""
    return binascii.crc_hqx(raw, 0).to_bytes(2, "little")
