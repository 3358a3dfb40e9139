"""`DispatcherConfig`: the compiled document that the operator (or a laptop) writes and the dispatcher reads.

Everything in it is resolved: overrides are applied, defaults filled in, durations are seconds, names are
checked. It holds no secret: credentials are named (`SecretKeyRef`) and read by the dispatcher itself.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel

from tubepost_api.references import ACCOUNT_KEYS, SecretReference

SCHEMA_VERSION = 1
"""Version of this document; a dispatcher reads its own version and the one before."""

_LATER = "x-tubepost-later"


def later(default: Any) -> Any:
    """A field that joined after the first release of its schema version.

    It is written only where it is not its default, so that a dispatcher which does not know it yet reads the
    documents of those who do not use it, and reports the same digest. Where it is used, the older dispatcher
    refuses the document by the field's name and keeps the one before: nothing is ignored in silence.
    """
    return Field(default=default, json_schema_extra={_LATER: True})


class _Compiled(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    @model_serializer(mode="wrap")
    def _without_unused_later_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and _LATER in extra and getattr(self, name) == field.default:
                document.pop(field.alias or name, None)
                document.pop(name, None)
        return document


class McmtReception(enum.StrEnum):
    """What the listener does with MCMT messages (Momentum `mcmt_reception`)."""

    ALLOW = "Allow"
    REJECT = "Reject"
    PASSTHRU = "Passthru"


class DeliveryMode(enum.StrEnum):
    """Whether notifications leave (Momentum `suspend_delivery`, `blackhole`)."""

    DELIVER = "Deliver"
    SUSPEND = "Suspend"
    BLACKHOLE = "Blackhole"
    REFUSE = "Refuse"


class AcceptanceMode(enum.StrEnum):
    """What a 250 stands for."""

    DIRECT = "Direct"
    """At APNs."""
    QUEUED = "Queued"
    """Safe in the queue."""


class AcceptanceOverflow(enum.StrEnum):
    """What becomes of a message without a verdict at the deadline of Direct acceptance."""

    REFUSE = "Refuse"
    """451: the sender keeps it."""
    QUEUE = "Queue"
    """250 once it is safe in the queue."""


class StartTlsMode(enum.StrEnum):
    """How STARTTLS is offered by the listener."""

    DISABLED = "Disabled"
    OPTIONAL = "Optional"
    REQUIRED = "Required"


class SecretKeyRef(_Compiled):
    """One key of one Secret."""

    secret: str
    key: str


class StartTlsConfig(_Compiled):
    """STARTTLS of the listener; certificate and key are absent when `mode` is Disabled."""

    mode: StartTlsMode = StartTlsMode.DISABLED
    certificate: SecretKeyRef | None = None
    private_key: SecretKeyRef | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class AuthConfig(_Compiled):
    """AUTH of the listener.

    The Secret holds `username` and `password` (type kubernetes.io/basic-auth), or `users`, a text of
    `name:password` lines, or both.
    """

    secret: str
    required: bool = True
    require_tls: bool = True


class ListenerLimits(_Compiled):
    """Bounds of the listener. Counts are per pod, times in seconds, sizes in bytes; 0 means no limit."""

    max_message_size: int = 10_240_000
    max_header_size: int = 102_400
    max_line_length: int = 65_536
    max_connections: int = 2_000
    max_connections_per_client: int = 500
    max_recipients: int = 1_000
    max_errors: int = 20
    command_timeout: float = 300.0
    tls_handshake_timeout: float = 30.0
    max_session_age: float = 3_600.0
    max_messages_per_session: int = 0


class ListenerConfig(_Compiled):
    """The SMTP listener."""

    port: int = 2525
    hostname: str
    mcmt_reception: McmtReception = McmtReception.ALLOW
    starttls: StartTlsConfig = StartTlsConfig()
    auth: AuthConfig | None = None
    allowed_networks: tuple[str, ...] = ()
    proxy_networks: tuple[str, ...] = later(())
    """Whose connections begin with a header of the PROXY protocol."""
    limits: ListenerLimits = ListenerLimits()

    def references(self, name: str) -> Iterator[SecretReference]:
        """The Secrets that the listener of PushDomain `name` needs."""
        certificate, private_key = self.starttls.certificate, self.starttls.private_key
        if certificate is not None and private_key is not None:
            keys = (certificate.key, private_key.key)
            yield SecretReference("StartTls", name, certificate.secret, keys)
        if self.auth is not None:
            yield SecretReference("Users", name, self.auth.secret, ACCOUNT_KEYS)


class AcceptanceConfig(_Compiled):
    """When a message is acknowledged; `deadline` is seconds between the end of DATA and the reply."""

    mode: AcceptanceMode = AcceptanceMode.DIRECT
    deadline: float = 30.0
    overflow: AcceptanceOverflow = later(AcceptanceOverflow.REFUSE)
    """With mode Direct only; `Queue` comes with a queue."""


class QueueConfig(_Compiled):
    """The queue on disk, per pod. `persistent`: it outlives the pod; limits of 0 are none."""

    persistent: bool
    max_messages: int = 0
    max_bytes: int = 0
    reserve: int = 64 * 1024 * 1024
    """Bytes of the volume that are left free."""


class ServingWorkload(_Compiled):
    """A workload whose pods take mail. Others, of before a move, deliver what they have and take no more.

    `replicas`: of a StatefulSet, the ordinals below it serve; None: all.
    """

    kind: Literal["Deployment", "StatefulSet"]
    replicas: int | None = None


class Throttle(_Compiled):
    """At most `messages` notifications every `seconds`, per pod (Momentum `outbound_throttle_messages`)."""

    messages: int
    seconds: float = 1.0


class DeliveryConfig(_Compiled):
    """How one domain entry delivers. Times in seconds; counts are per pod; 0 means no limit."""

    mode: DeliveryMode = DeliveryMode.DELIVER
    response_timeout: float = 5.0
    connect_timeout: float = 30.0
    idle_timeout: float = 3_600.0
    max_outbound_connections: int = 32
    max_deliveries_per_connection: int = 0
    throttle: Throttle | None = None
    expiry: float = 604_800.0
    retry_interval: float = later(1_200.0)
    max_retry_interval: float = later(43_200.0)
    max_retries: int | None = later(None)
    """None: as many as fit before `message_expiration`."""
    message_expiration: float = later(604_800.0)


class EntryConfig(_Compiled):
    """One domain entry: exactly one of `name` (exact) and `pattern` (RE2, must match the whole domain)."""

    name: str | None = None
    pattern: str | None = None
    routes: tuple[str, ...]
    delivery: DeliveryConfig


class CertificateConfig(_Compiled):
    """Certificate authentication towards APNs."""

    certificate: SecretKeyRef
    private_key: SecretKeyRef


class TokenConfig(_Compiled):
    """Provider-token authentication towards APNs: a .p8 key with its key id and team id."""

    private_key: SecretKeyRef
    key_id: SecretKeyRef
    team_id: SecretKeyRef


class RouteDefaults(_Compiled):
    """Values for push parts that do not name their own. `priority` None: by push type."""

    push_type: str | None = None
    priority: Literal[1, 5, 10] | None = None
    collapse_id: str | None = None


class RouteTls(_Compiled):
    """TLS towards APNs. `ca` None: the system's trust store; `ciphers` None: the library's defaults."""

    verify: bool = True
    ca: SecretKeyRef | None = None
    ciphers: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class RouteConfig(_Compiled):
    """One ApnRoute. Exactly one of `certificate` and `token`; `topic` None: from the certificate."""

    name: str
    environment: Literal["Production", "Sandbox"] | None
    """None when an endpoint of the user's own is named (a simulator, a relay)."""
    host: str
    port: int
    certificate: CertificateConfig | None = None
    token: TokenConfig | None = None
    topic: str | None = None
    defaults: RouteDefaults = RouteDefaults()
    tls: RouteTls = RouteTls()
    proxy: str | None = None
    """`http://[user:password@]host:port` of an HTTP CONNECT proxy; credentials come by `proxy_auth`."""
    proxy_auth: SecretKeyRef | None = None
    """A Secret key that holds `user:password` for the proxy."""

    def references(self) -> Iterator[SecretReference]:
        """The Secrets that the route needs."""
        if self.certificate is not None:
            pair = self.certificate
            keys: tuple[str, ...] = (pair.certificate.key, pair.private_key.key)
            secret = pair.certificate.secret
            yield SecretReference("Certificate", self.name, secret, keys, self.environment)
        if self.token is not None:
            token = self.token
            keys = (token.private_key.key, token.key_id.key, token.team_id.key)
            yield SecretReference("Token", self.name, token.private_key.secret, keys)
        if self.tls.ca is not None:
            yield SecretReference("Authorities", self.name, self.tls.ca.secret, (self.tls.ca.key,))
        if self.proxy_auth is not None:
            account = self.proxy_auth
            yield SecretReference("ProxyAccount", self.name, account.secret, (account.key,))


class FileSink(_Compiled):
    """A log file. `mode` is its permission bits; rotation by size, `max_size` 0 means never."""

    path: str
    mode: int = 0o644
    max_size: int = 100 * 1024 * 1024
    max_files: int = 5


class LoggerFormats(_Compiled):
    """The four format strings (Momentum's apn_logger defaults)."""

    delivery: str = '%t@D@%i@"%sa"@"%da"@%d@%g@%b@%H@%B@%ti'
    permfail: str = "%t@P@%i@%sa@%da@%d@%g@%b@%H@%S@%e"
    tempfail: str = '%t@T@%i@"%sa"@"%da"@%d@%g@%b@%H@%B@%ti@%S@%e'
    heartbeat: str = "%t@M"


class LoggerConfig(_Compiled):
    """One ApnLogger. `file` None: standard output. `heartbeat` in seconds, 0 means none."""

    name: str
    file: FileSink | None = None
    format: Literal["Momentum", "Json"] = "Momentum"
    formats: LoggerFormats = LoggerFormats()
    heartbeat: float = 60.0
    log_delivery: bool = True
    log_permfail: bool = True
    log_tempfail: bool = True


class PassthruConfig(_Compiled):
    """The SMTP relay for what is not a push.

    `auth` names a basic-auth Secret (username, password); `ca` None: the system's trust store.
    """

    host: str
    port: int = 25
    tls: Literal["None", "StartTls", "Tls"] = "None"
    verify: bool = True
    auth: str | None = None
    timeout: float = 30.0
    ca: SecretKeyRef | None = later(None)

    def references(self, name: str) -> Iterator[SecretReference]:
        """The Secrets that the relay of PushDomain `name` needs."""
        if self.auth is not None:
            yield SecretReference("RelayAccount", name, self.auth, ACCOUNT_KEYS)
        if self.ca is not None:
            yield SecretReference("RelayAuthorities", name, self.ca.secret, (self.ca.key,))


class DispatcherConfig(_Compiled):
    """Everything one dispatcher needs to know, short of the secrets' contents."""

    schema_version: int = SCHEMA_VERSION
    name: str
    namespace: str = "default"
    generation: int = 1
    listener: ListenerConfig
    acceptance: AcceptanceConfig = AcceptanceConfig()
    entries: tuple[EntryConfig, ...]
    """Exact names first, then patterns in their declared order."""
    routes: dict[str, RouteConfig]
    loggers: tuple[LoggerConfig, ...] = ()
    passthru: PassthruConfig | None = None
    log_level: Literal["Debug", "Info", "Warning", "Error"] = "Info"
    workers: int = 0
    """Worker processes; 0: from the CPU limit."""
    queue: QueueConfig | None = later(None)
    """None: nothing is queued; what a queue still has is delivered."""
    serving: tuple[ServingWorkload, ...] = later(())
    """Empty: every pod takes mail."""

    def to_json(self) -> str:
        """The document as canonical JSON (sorted keys, camelCase)."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of `to_json()`: the config hash in metrics and status."""
        return text_digest(self.to_json())

    def references(self) -> Iterator[SecretReference]:
        """The Secrets that the PushDomain itself needs, without those of its routes."""
        yield from self.listener.references(self.name)
        if self.passthru is not None:
            yield from self.passthru.references(self.name)

    def secret_names(self) -> frozenset[str]:
        """Names of all Secrets that this configuration refers to, those of its routes included."""
        every = chain(self.references(), *(route.references() for route in self.routes.values()))
        return frozenset(reference.secret for reference in every)


def text_digest(text: str) -> str:
    """`DispatcherConfig.digest` of a document that is there as its canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
