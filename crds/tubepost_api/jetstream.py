"""A queue on NATS JetStream: a stream of a NATS that is there, shared by all pods of a PushDomain."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config_jetstream import JetStreamConfig, JetStreamPlacement, JetStreamTlsConfig
from tubepost_api.convert import converted
from tubepost_api.durations import parse_duration, parse_size
from tubepost_api.fields import UNIQUE, Checked, Duration, SecretKey, SecretName, Size, no_repeats
from tubepost_api.rules import Rule, SpecModel, Transition
from tubepost_api.secretkeys import CaSpec, key_of

PORT: Final = 4222
"""NATS' usual one."""
EMPTY_FIRST: Final = (
    "set acceptance.mode: Direct, wait until nothing is queued (status.live.queued is absent), remove the "
    "queue, then set it anew"
)
"""Remedy where the next queue would not have what is in the stream."""

_HOST = r"([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])"
_PORT = r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"

Server = Annotated[
    str,
    Checked(
        "the address of a NATS server",
        "write nats://HOST:PORT, or tls://HOST:PORT; without the port it is 4222",
        f"^(nats|tls)://{_HOST}{_PORT}$",
        270,
    ),
]
StreamName = Annotated[
    str,
    Checked(
        "the name of a stream",
        "use upper-case letters, digits, hyphens and _, with a letter or digit at the beginning",
        r"^[A-Z0-9][A-Z0-9_-]*$",
        200,
    ),
]
Subject = Annotated[
    str,
    Checked(
        "a subject without wildcards",
        "write words of letters, digits, hyphens and _ with dots between them",
        r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        200,
    ),
]
_Word = Annotated[
    str,
    Checked(
        "a word of NATS' configuration",
        "use letters, digits, and : _ . / = -",
        r"^[A-Za-z0-9:_./=-]+$",
        128,
    ),
]


class JetStreamCredentialsSpec(SpecModel):
    """A credentials file of NATS: a user's JWT with the seed of its key."""

    secret_name: SecretName
    """Name of the Secret."""
    key: SecretKey = "nats.creds"
    """Key of the Secret that holds the file."""


class JetStreamNkeySpec(SpecModel):
    """A user that the servers know by its public key."""

    secret_name: SecretName
    """Name of the Secret."""
    key: SecretKey = "seed"
    """Key of the Secret that holds the seed, which begins with SU."""


class JetStreamCertificateSpec(SpecModel):
    """A client's certificate with its private key, both PEM."""

    secret_name: SecretName
    """Secret that holds certificate and private key, for example of type kubernetes.io/tls."""
    certificate_key: SecretKey = "tls.crt"
    """Key of the Secret that holds the certificate chain."""
    private_key_key: SecretKey = "tls.key"
    """Key of the Secret that holds the private key."""


class JetStreamTlsSpec(SpecModel):
    """TLS towards the servers."""

    ca: CaSpec | None = None
    """Authorities to trust instead of the system's."""
    certificate: JetStreamCertificateSpec | None = None
    """Certificate to show to the servers."""


class JetStreamPlacementSpec(SpecModel):
    """Which servers are to keep the stream."""

    cluster: _Word | None = None
    """Name of the NATS cluster."""
    tags: Annotated[
        tuple[_Word, ...], Field(max_length=16, json_schema_extra=UNIQUE), AfterValidator(no_repeats)
    ] = ()
    """Tags that each of the servers has to have."""


class JetStreamSpec(SpecModel):
    """A queue on NATS JetStream, nats-server 2.12 or later.

    The stream is made where it is missing; one that is made otherwise is left as it is, and not used.
    """

    servers: Annotated[
        tuple[Server, ...],
        Field(min_length=1, max_length=16, json_schema_extra=UNIQUE),
        AfterValidator(no_repeats),
    ]
    """Addresses of servers of one cluster: nats://HOST:PORT or, encrypted, tls://HOST:PORT."""
    stream: StreamName | None = None
    """Name of the stream; without it TUBEPOST_NAMESPACE_NAME, in upper case."""
    subject_prefix: Subject | None = None
    """What the stream's subjects begin with; without it tubepost.NAMESPACE.NAME. Nobody else may publish
    there: let the servers' permissions say so."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 3
    """Servers that keep the stream. With 3, one may be lost."""
    max_age: Duration | None = None
    """Longest time that NATS keeps a message; what is older is gone without a word. Without it, as long as it
    takes: delivery.messageExpiration ends messages, and tells."""
    max_bytes: Size | None = None
    """Largest size of the stream; above it messages are answered 452. Without it the servers are the
    limit."""
    placement: JetStreamPlacementSpec | None = None
    """Which servers are to keep the stream; without it NATS chooses."""
    credentials: JetStreamCredentialsSpec | None = None
    """Log in by a credentials file. At most one of this, nkey and authSecretName."""
    nkey: JetStreamNkeySpec | None = None
    """Log in by an nkey."""
    auth_secret_name: SecretName | None = None
    """Secret of type kubernetes.io/basic-auth (username, password) to log in with."""
    tls: JetStreamTlsSpec | None = None
    """TLS towards tls:// servers, where the system's trust store does not do."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.servers.all(s, s.startsWith('tls:')) || self.servers.all(s, s.startsWith('nats:'))",
            "some of the servers are encrypted and some are not",
            "write tls:// for all of them, or nats:// for all",
            lambda spec: len({server.partition(":")[0] for server in spec.servers}) == 1,
            "servers",
        ),
        Rule(
            "!has(self.tls) || self.servers.all(s, s.startsWith('tls:'))",
            "tls is for servers whose address begins with tls://",
            "write tls:// in servers, or remove tls",
            lambda spec: spec.tls is None or all(server.startswith("tls:") for server in spec.servers),
            "tls",
        ),
        Rule(
            "[has(self.credentials), has(self.nkey), has(self.authSecretName)].filter(way, way).size() <= 1",
            "there is more than one way to log in",
            "keep one of credentials, nkey and authSecretName",
            lambda spec: [spec.credentials, spec.nkey, spec.auth_secret_name].count(None) >= 2,
        ),
    )
    transitions: ClassVar[tuple[Transition, ...]] = (
        *(
            Transition(
                f"has(self.{name}) == has(oldSelf.{name}) && "
                f"(!has(self.{name}) || self.{name} == oldSelf.{name})",
                "what is queued would be left behind under the old name",
                EMPTY_FIRST,
                name,
            )
            for name in ("stream", "subjectPrefix")
        ),
    )


def jet_stream_config(spec: JetStreamSpec, namespace: str, name: str) -> JetStreamConfig:
    """The stream of a PushDomain as the dispatcher reads it."""
    return JetStreamConfig(
        servers=tuple(_with_port(server) for server in spec.servers),
        stream=spec.stream or f"TUBEPOST_{namespace}_{name}".upper(),
        subject_prefix=spec.subject_prefix or f"tubepost.{namespace}.{name}",
        replicas=spec.replicas,
        max_age=parse_duration(spec.max_age) if spec.max_age is not None else None,
        max_bytes=parse_size(spec.max_bytes or 0),
        placement=converted(spec.placement, JetStreamPlacement) if spec.placement is not None else None,
        credentials=_key(spec.credentials),
        nkey=_key(spec.nkey),
        account=spec.auth_secret_name,
        tls=_tls(spec.tls) if spec.tls is not None else None,
    )


def _with_port(server: str) -> str:
    return server if server.rpartition(":")[2].isdigit() else f"{server}:{PORT}"


def _key(spec: JetStreamCredentialsSpec | JetStreamNkeySpec | None) -> SecretKeyRef | None:
    return SecretKeyRef(secret=spec.secret_name, key=spec.key) if spec is not None else None


def _tls(spec: JetStreamTlsSpec) -> JetStreamTlsConfig:
    pair = spec.certificate
    if pair is None:
        return JetStreamTlsConfig(ca=key_of(spec.ca))
    return JetStreamTlsConfig(
        ca=key_of(spec.ca),
        certificate=SecretKeyRef(secret=pair.secret_name, key=pair.certificate_key),
        private_key=SecretKeyRef(secret=pair.secret_name, key=pair.private_key_key),
    )
