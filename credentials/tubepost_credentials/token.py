"""Token authentication: the .p8 key and the provider tokens made with it.

"Establishing a token-based connection to APNs": a JWT signed with ES256 (RFC 7518 section 3.4), header
`alg` and `kid`, claims `iss` and `iat`.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tubepost_credentials.errors import CredentialError, Remark, Validity
from tubepost_credentials.pem import load_key, private_key_block, tidy

_WHAT = "the provider-token key"
_WANTED = "the .p8 file as downloaded from Apple (-----BEGIN PRIVATE KEY-----, an EC key on curve P-256)"
_AS_DOWNLOADED = "put the .p8 file there as downloaded from Apple, for example with kubectl's --from-file"
_LINE_ENDS = re.compile(rb"(?:\\[rn])+\Z")
_APPLE_ID = re.compile(r"[A-Z0-9]{10}")
_ANY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_COORDINATE = 32  # bytes of each half of an ES256 signature (RFC 7518 section 3.4)


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """A provider-token key with its ids. Its `repr` holds no key.

    `fingerprint` is SHA-256 in hex over public key, key id and team id. `warnings` are sentences for the
    user; `remarks` are about how the key was written, which makes it no other key.
    """

    key_id: str
    team_id: str
    fingerprint: str
    _key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)
    warnings: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = field(default=(), compare=False)

    def sign(self, now_unix: int) -> str:
        """Return the provider token issued at `now_unix` (unix seconds, taken as given).

        The signature is deterministic (RFC 6979): every process that signs for the same second makes the
        same token, as APNs wishes of several servers that share a key.
        """
        header = _segment({"alg": "ES256", "kid": self.key_id})
        signed = header + b"." + _segment({"iss": self.team_id, "iat": now_unix})
        der = self._key.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        raw = r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
        return (signed + b"." + _base64url(raw)).decode("ascii")

    def validity(self, now: datetime | float) -> Validity:  # noqa: ARG002 - as CertificateCredential
        """Keys have no lifetime: always `valid`."""
        return "valid"

    def public_key_pem(self) -> bytes:
        """The public key, with which tokens can be verified."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def describe(self) -> dict[str, Any]:
        """Facts for people and JSON; nothing secret."""
        return {
            "kind": "token",
            "keyId": self.key_id,
            "teamId": self.team_id,
            "fingerprint": self.fingerprint,
            "warnings": [*self.warnings, *map(str, self.remarks)],
        }


def load_token(p8: bytes, key_id: bytes, team_id: bytes) -> TokenCredential:
    """Read a provider-token key; white space around the ids (a file's last newline) is dropped.

    Ids of an unusual form give a warning, since a service of the user's own may use such; only what could
    not stand in a token is refused.

    What happens to a key on its way through editors and variables is undone, with a remark.

    Raises:
        CredentialError: what is wrong and how to fix it, never with any of the content.
    """
    warnings: list[str] = []
    remarks: list[Remark] = []
    p8, untidy = tidy(p8)
    if untidy:
        remarks.append(Remark("Untidy", 0, f"{_WHAT} has {untidy}", _AS_DOWNLOADED))
    key_name = _identifier(key_id, "key id", 1, warnings, remarks)
    team_name = _identifier(team_id, "team id", 2, warnings, remarks)
    key = load_key(private_key_block(p8, _WHAT, _WANTED), _WHAT)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CredentialError(f"{_WHAT} is {_kind(key)} where an EC key is needed", f"put {_WANTED} there")
    if not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError(
            f"{_WHAT} is on curve {key.curve.name} where P-256 is needed", f"put {_WANTED} there"
        )
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(b"\0".join((public, key_name.encode(), team_name.encode())))
    return TokenCredential(
        key_id=key_name,
        team_id=team_name,
        fingerprint=digest.hexdigest(),
        _key=key,
        warnings=tuple(warnings),
        remarks=tuple(remarks),
    )


def _identifier(value: bytes, what: str, part: int, warnings: list[str], remarks: list[Remark]) -> str:
    remedy = f"put the {what} from Apple's developer site there: 10 capital letters and digits"
    bare = _LINE_ENDS.sub(b"", value.removeprefix(codecs.BOM_UTF8).strip())
    if bare != value.strip():
        remarks.append(Remark("Untidy", part, f"the {what} has a byte order mark, or \\n at its end", remedy))
    text = bare.decode("latin-1").strip()
    if not text:
        raise CredentialError(f"the {what} is empty", remedy)
    if not _ANY_ID.fullmatch(text):
        raise CredentialError(f"the {what} contains characters that are not allowed in one", remedy)
    if not _APPLE_ID.fullmatch(text):
        warnings.append(f"The {what} is not 10 capital letters and digits, as Apple's are.")
    return text


def _kind(key: object) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "an RSA key (that of a certificate?)"
    if isinstance(key, dsa.DSAPrivateKey):
        return "a DSA key"
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return "an Edwards-curve key"
    return "a key of another kind"


def _segment(value: dict[str, Any]) -> bytes:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
