"""Provider tokens as APNs checks them: a JWT signed with ES256.

Source: Apple, "Establishing a token-based connection to APNs"; RFC 7515, RFC 7518 section 3.4.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tubepost_simulator.settings import TokenKey

_CACHE_SIZE = 1_000
_MAX_TOKEN = 4_096
_SIGNATURE = 64  # two coordinates of P-256


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A provider token whose signature is right. `issued_at` is in unix seconds; `key` None: unknown key."""

    text: bytes
    key_id: str
    team_id: str
    issued_at: float
    key: TokenKey | None


class TokenVerifier:
    """Reads provider tokens; remembers the last ones, good and bad, since senders repeat them."""

    def __init__(self, keys: Mapping[str, TokenKey], *, verify: bool = True) -> None:
        """Take the known keys by key id.

        Raises:
            ValueError: a key is not a P-256 key in PEM.
        """
        self._keys = {key_id: (key, _public_key(key_id, key.key)) for key_id, key in keys.items()}
        self._verify = verify
        self._cache: dict[bytes, VerifiedToken | str] = {}

    def read(self, token: bytes) -> VerifiedToken | str:
        """Return the token, or a sentence that says why it is not valid. Its age is not checked."""
        known = self._cache.get(token)
        if known is None:
            known = self._read(token)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[token] = known
        return known

    def _read(self, text: bytes) -> VerifiedToken | str:
        parts = text.split(b".")
        if len(parts) != 3 or len(text) > _MAX_TOKEN:
            return "not three parts separated by dots"
        try:
            header, claims = _object(parts[0]), _object(parts[1])
            signature = _decode(parts[2])
        except ValueError as error:
            return f"cannot be read: {error}"
        key_id, team_id, issued_at = header.get("kid"), claims.get("iss"), claims.get("iat")
        if header.get("alg") != "ES256":
            return "its alg is not ES256"
        if not isinstance(key_id, str) or not isinstance(team_id, str):
            return "kid or iss is missing"
        if not isinstance(issued_at, int | float) or isinstance(issued_at, bool):
            return "iat is missing or not a number"
        found = self._keys.get(key_id)
        if found is None:
            if self._verify:
                return f"its key id {key_id!r} is unknown"
            return VerifiedToken(text, key_id, team_id, issued_at, None)
        key, public_key = found
        if key.team_id != team_id:
            return f"its team {team_id!r} is not the one of the key"
        if not _signed(public_key, signature, parts[0] + b"." + parts[1]):
            return "its signature is wrong"
        return VerifiedToken(text, key_id, team_id, issued_at, key)


def _signed(public_key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    if len(signature) != _SIGNATURE:
        return False
    half = _SIGNATURE // 2
    der = encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )
    try:
        public_key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _object(part: bytes) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the caller's one kind of fault
    return value


def _decode(part: bytes) -> bytes:
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None


def _public_key(key_id: str, pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        if b"PRIVATE KEY" in pem:
            private = load_pem_private_key(pem, password=None)
            key = private.public_key()
        else:
            key = load_pem_public_key(pem)
    except (ValueError, TypeError):
        raise ValueError(f"the token key {key_id} is not a key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"the token key {key_id} is not on curve P-256")  # noqa: TRY004 - a wrong value
    return key
