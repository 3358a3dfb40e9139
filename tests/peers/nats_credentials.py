"""Keys and JWTs of NATS, made for tests: an operator, its accounts, and a user with a credentials file.

The forms are those of the packages nkeys and jwt of NATS (https://docs.nats.io/running-a-nats-service/configuration
/securing_nats/auth_intro/jwt): a key is a type byte, 32 bytes of Ed25519 and a CRC-16, in Base32; a JWT is signed
with `ed25519-nkey`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
"""Type bytes, which become the first letter: O, A, U."""
_SEED = 18 << 3


@dataclass(frozen=True)
class NKey:
    """A key pair; its `repr` holds no seed."""

    kind: int
    key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def make(cls, kind: int) -> NKey:
        """A new one of this type."""
        return cls(kind, Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        """The public key, such as U..."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _encoded(bytes([self.kind]) + raw)

    @property
    def seed(self) -> str:
        """The seed, such as SU..."""
        raw = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return _encoded(bytes([_SEED | self.kind >> 5, (self.kind & 31) << 3]) + raw)

    def signature(self, nonce: str) -> bytes:
        """The answer to a server's nonce, as nats-py wants it: Base64."""
        return base64.b64encode(self.key.sign(nonce.encode()))

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWT with these claims, issued by this key now."""
        claims = {**claims, "iss": self.public, "iat": int(time.time())}
        digest = hashlib.sha256(_json({**claims, "jti": ""})).digest()
        claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        text = f"{_url(_json(head))}.{_url(_json(claims))}"
        return f"{text}.{_url(self.key.sign(text.encode()))}"


class Decentral:
    """An operator with one account that may use JetStream; the server's part is `configuration`."""

    def __init__(self) -> None:
        self._operator, self._account, self._system = (
            NKey.make(kind) for kind in (OPERATOR, ACCOUNT, ACCOUNT)
        )

    def configuration(self) -> str:
        """What goes into the configuration of the server."""
        system = self._operator.sign(_claims("SYS", self._system, "account", {"limits": _LIMITS}))
        limits = {**_LIMITS, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        account = self._operator.sign(_claims("APP", self._account, "account", {"limits": limits}))
        operator = self._operator.sign(
            _claims("test", self._operator, "operator", {"system_account": self._system.public})
        )
        return (
            f"operator: {operator}\nsystem_account: {self._system.public}\nresolver: MEMORY\n"
            f"resolver_preload {{ {self._system.public}: {system}\n {self._account.public}: {account} }}\n"
        )

    def user(self, name: str = "tubepost", end: int | None = None) -> tuple[str, NKey]:
        """The JWT of a new user, valid until `end` in Unix seconds, and its key."""
        user = NKey.make(USER)
        claims = {"subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        return self._account.sign(
            {**_claims(name, user, "user", claims), **({} if end is None else {"exp": end})}
        ), user

    def file(self, name: str = "tubepost", end: int | None = None) -> str:
        """The credentials file of a new user."""
        token, user = self.user(name, end)
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


_LIMITS = {
    "subs": -1,
    "data": -1,
    "payload": -1,
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
}


def _claims(name: str, subject: NKey, kind: str, special: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "sub": subject.public, "nats": {**special, "type": kind, "version": 2}}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _encoded(raw: bytes) -> str:
    checksum = 0
    for byte in raw:  # CRC-16/XMODEM
        checksum ^= byte << 8
        for _ in range(8):
            checksum = checksum << 1 ^ (0x1021 if checksum & 0x8000 else 0)
        checksum &= 0xFFFF
    return base64.b32encode(raw + checksum.to_bytes(2, "little")).decode().rstrip("=")
