"""Which Secrets our objects refer to, by which field and what for: the one list of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tubepost_api.endpoint import Environment

SecretUse = Literal[
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


@dataclass(frozen=True, slots=True)
class SecretField:
    """A field that names a Secret.

    `path` is the field itself, `place` the field to name to a person who is to correct Secret or key.
    """

    kind: Literal["PushDomain", "ApnRoute", "ApnLogger"]
    path: str
    place: str


SECRET_FIELDS: Final[Mapping[SecretUse, SecretField]] = {
    "StartTls": SecretField("PushDomain", "spec.listener.startTls.secretName", "spec.listener.startTls"),
    "Users": SecretField("PushDomain", "spec.listener.auth.secretName", "spec.listener.auth.secretName"),
    "RelayAccount": SecretField("PushDomain", "spec.passthru.authSecretName", "spec.passthru.authSecretName"),
    "RelayAuthorities": SecretField("PushDomain", "spec.passthru.ca.secretName", "spec.passthru.ca"),
    "BounceRelayAccount": SecretField(
        "PushDomain", "spec.bounces.relay.authSecretName", "spec.bounces.relay.authSecretName"
    ),
    "BounceRelayAuthorities": SecretField(
        "PushDomain", "spec.bounces.relay.ca.secretName", "spec.bounces.relay.ca"
    ),
    "RestTls": SecretField("PushDomain", "spec.rest.tls.secretName", "spec.rest.tls"),
    "RestTokens": SecretField("PushDomain", "spec.rest.tokens.secretName", "spec.rest.tokens"),
    "JetStreamCredentials": SecretField(
        "PushDomain", "spec.queue.jetStream.credentials.secretName", "spec.queue.jetStream.credentials"
    ),
    "JetStreamNkey": SecretField(
        "PushDomain", "spec.queue.jetStream.nkey.secretName", "spec.queue.jetStream.nkey"
    ),
    "JetStreamAccount": SecretField(
        "PushDomain", "spec.queue.jetStream.authSecretName", "spec.queue.jetStream.authSecretName"
    ),
    "JetStreamAuthorities": SecretField(
        "PushDomain", "spec.queue.jetStream.tls.ca.secretName", "spec.queue.jetStream.tls.ca"
    ),
    "JetStreamCertificate": SecretField(
        "PushDomain",
        "spec.queue.jetStream.tls.certificate.secretName",
        "spec.queue.jetStream.tls.certificate",
    ),
    "Certificate": SecretField("ApnRoute", "spec.certificate.secretName", "spec.certificate"),
    "Token": SecretField("ApnRoute", "spec.token.secretName", "spec.token"),
    "Authorities": SecretField("ApnRoute", "spec.tls.ca.secretName", "spec.tls.ca"),
    "ProxyAccount": SecretField("ApnRoute", "spec.proxy.auth.secretName", "spec.proxy.auth"),
    "WebhookAuthorization": SecretField(
        "ApnLogger", "spec.sink.webhook.authorization.secretName", "spec.sink.webhook.authorization"
    ),
    "WebhookSignature": SecretField(
        "ApnLogger", "spec.sink.webhook.signature.secretName", "spec.sink.webhook.signature"
    ),
    "WebhookAuthorities": SecretField("ApnLogger", "spec.sink.webhook.ca.secretName", "spec.sink.webhook.ca"),
}
"""Every field of the custom resources that names a Secret."""

ACCOUNT_KEYS: Final = ("username", "password")
"""Keys of a Secret of type kubernetes.io/basic-auth."""
USERS_KEY: Final = "users"
"""Key that a Secret for `Users` may have as well or instead: lines of NAME:PASSWORD."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """One Secret that an object refers to. It holds all of a credential, so that its parts change together.

    `name` is that of the object, `keys` are in the order in which the use has them: certificate and key;
    signing key, key id, team id; user name and password. No keys: all that the Secret has. `environment`:
    where the credential is to be used, None where that says nothing about it.
    """

    use: SecretUse
    name: str
    secret: str
    keys: tuple[str, ...]
    environment: Environment | None = None

    @property
    def kind(self) -> str:
        """Kind of the object that refers."""
        return SECRET_FIELDS[self.use].kind

    @property
    def path(self) -> str:
        """The field that names the Secret, such as `spec.certificate.secretName`."""
        return SECRET_FIELDS[self.use].path

    @property
    def field(self) -> str:
        """The field to correct, such as `spec.certificate`."""
        return SECRET_FIELDS[self.use].place

    @property
    def wanted(self) -> str:
        """What the Secret has to have, for a remedy."""
        if not self.keys:
            return "a key for each client"
        return f"the key{'s' * (len(self.keys) > 1)} {', '.join(self.keys)}"

    def missing(self, present: Collection[str]) -> tuple[str, ...]:
        """The keys that the Secret lacks, `present` being those that it has."""
        if self.use == "Users" and USERS_KEY in present and not set(ACCOUNT_KEYS) & set(present):
            return ()
        return tuple(key for key in self.keys if key not in present)
