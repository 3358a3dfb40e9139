"""Where the stream is, how it is made, and how the dispatcher identifies itself there. Values."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from tubepost_credentials.nkey import NkeyCredential


class Identity(NamedTuple):
    """How a client says who it is; by one of these at most."""

    key: NkeyCredential | None = None
    """Of an nkey, or of a credentials file: then it has a JWT as well."""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Identity(...)"


class JetStreamSettings(NamedTuple):
    """Of one PushDomain's stream."""

    servers: tuple[str, ...]
    """`nats://host:port` or `tls://host:port`."""
    stream: str
    prefix: str
    """Of all its subjects, without the dot behind it."""
    replicas: int = 3
    max_age: float = 0.0
    """Seconds after which the server removes what is in the stream; 0: it never does."""
    max_bytes: int = 0
    """Bytes of the stream from which on nothing new is taken, but for a tenth; 0: no bound."""
    cluster: str = ""
    """Placement: the cluster, and the tags that its servers must have."""
    tags: tuple[str, ...] = ()
    identity: Identity = Identity()
    tls: ssl.SSLContext | None = None
    """For `tls://` servers, and those that ask for it; None: the system's authorities."""
    tls_mark: str = ""
    """Of what `tls` was made of: contexts with the same one are the same. Empty: not known."""

    def reached_as(self, other: JetStreamSettings) -> bool:
        """Whether a connection that was made by the others serves these too."""
        ours, theirs = ((one.servers, one.identity, one.tls_mark) for one in (self, other))
        return ours == theirs and (self.tls is other.tls or bool(self.tls_mark))
