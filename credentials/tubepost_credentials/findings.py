"""What the reader of Secrets is asked, and what it answers. No text holds a byte of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tubepost_credentials.certificate import Environment
from tubepost_credentials.errors import Fault, Subject

Secrets = Mapping[str, Mapping[str, bytes]]
"""The Secrets that exist: name -> key -> value."""

Use = Literal[
    "StartTls",
    "Users",
    "RelayAccount",
    "RelayAuthorities",
    "BounceRelayAccount",
    "BounceRelayAuthorities",
    "RestTls",
    "RestTokens",
    "JetStreamCredentials",
    "JetStreamNkey",
    "JetStreamAccount",
    "JetStreamAuthorities",
    "JetStreamCertificate",
    "Certificate",
    "Token",
    "Authorities",
    "ProxyAccount",
    "WebhookAuthorization",
    "WebhookSignature",
    "WebhookAuthorities",
]
"""What a Secret is for."""


class Reference(Protocol):
    """A Secret that an object refers to (`tubepost_api.references.SecretReference` is one)."""

    @property
    def use(self) -> Use:
        """What for."""

    @property
    def kind(self) -> str:
        """Kind of the object that refers."""

    @property
    def name(self) -> str:
        """Name of that object."""

    @property
    def field(self) -> str:
        """The object's field to correct where the reference is wrong."""

    @property
    def secret(self) -> str:
        """Name of the Secret."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the Secret, in the order in which the use has them (see `check`)."""

    @property
    def environment(self) -> Environment | None:
        """APNs' service that a certificate is to be used with; None: not known, or of no concern."""

    def missing(self, present: Collection[str]) -> Sequence[str]:
        """The keys that a Secret with the keys `present` lacks."""


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """Something wrong with a reference or with what it leads to.

    `kind`, `name` and `field` lead to the reference. `keys` of Secret `secret` are concerned, none: all of
    it. `text` continues a sentence that begins with the Secret, `remedy` is one without its full stop.
    """

    fault: Fault
    kind: str
    name: str
    field: str
    secret: str
    keys: tuple[str, ...]
    text: str
    remedy: str

    @property
    def message(self) -> str:
        """What is wrong with the Secret, for a context that names object and field already."""
        return self._sentence("")

    @property
    def full_message(self) -> str:
        """What is wrong, with the object that refers, and the field where a reference is wrong."""
        return f"{self.kind} {self.name}: {self._sentence(f' ({self.field})')}"

    def _sentence(self, field: str) -> str:
        if self.fault.of_reference:
            return f"Secret {self.secret!r}{field} {self.text}"
        return _of_secret(self.secret, self.keys, self.text)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the owner of a usable Secret should hear all the same. Fields as in `SecretFinding`."""

    subject: Subject
    kind: str
    name: str
    field: str
    secret: str
    keys: tuple[str, ...]
    text: str
    remedy: str

    @property
    def message(self) -> str:
        """What there is to say of the Secret, for a context that names object and field already."""
        return _of_secret(self.secret, self.keys, self.text)


def _of_secret(secret: str, keys: tuple[str, ...], text: str) -> str:
    named = " and ".join(map(repr, keys))
    where = f", key{'s' * (len(keys) > 1)} {named}" if keys else ""
    return f"Secret {secret!r}{where}: {text}"
