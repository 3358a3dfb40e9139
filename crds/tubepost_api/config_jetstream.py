"""The part of `DispatcherConfig` about a queue on NATS JetStream."""

from __future__ import annotations

from collections.abc import Iterator

from tubepost_api.compiled import Compiled, SecretKeyRef
from tubepost_api.references import ACCOUNT_KEYS, SecretReference


class JetStreamTlsConfig(Compiled):
    """TLS towards the servers. `ca` None: the system's trust store. Certificate and key go together."""

    ca: SecretKeyRef | None = None
    certificate: SecretKeyRef | None = None
    private_key: SecretKeyRef | None = None


class JetStreamPlacement(Compiled):
    """Which servers of a cluster, or of several, are to keep the stream."""

    cluster: str | None = None
    tags: tuple[str, ...] = ()


class JetStreamConfig(Compiled):
    """A stream and how its servers are reached. At most one of `credentials`, `nkey` and `account`.

    Times in seconds, sizes in bytes, None or 0: no limit. `account` names a Secret with user name and
    password.
    """

    servers: tuple[str, ...]
    """`nats://HOST:PORT`, or all `tls://HOST:PORT`."""
    stream: str
    subject_prefix: str
    """Of all subjects of the stream; nobody else may use them."""
    replicas: int = 3
    max_age: float | None = None
    max_bytes: int = 0
    placement: JetStreamPlacement | None = None
    credentials: SecretKeyRef | None = None
    """A credentials file."""
    nkey: SecretKeyRef | None = None
    """The seed of a user's key."""
    account: str | None = None
    tls: JetStreamTlsConfig | None = None

    @property
    def encrypted(self) -> bool:
        """Whether all servers are reached by TLS."""
        return all(server.startswith("tls:") for server in self.servers)

    def references(self, name: str) -> Iterator[SecretReference]:
        """The Secrets that PushDomain `name` needs for its stream."""
        if self.credentials is not None:
            keys: tuple[str, ...] = (self.credentials.key,)
            yield SecretReference("JetStreamCredentials", name, self.credentials.secret, keys)
        if self.nkey is not None:
            yield SecretReference("JetStreamNkey", name, self.nkey.secret, (self.nkey.key,))
        if self.account is not None:
            yield SecretReference("JetStreamAccount", name, self.account, ACCOUNT_KEYS)
        if self.tls is None:
            return
        if self.tls.ca is not None:
            yield SecretReference("JetStreamAuthorities", name, self.tls.ca.secret, (self.tls.ca.key,))
        certificate, private_key = self.tls.certificate, self.tls.private_key
        if certificate is not None and private_key is not None:
            keys = (certificate.key, private_key.key)
            yield SecretReference("JetStreamCertificate", name, certificate.secret, keys)
