"""`DispatcherConfig`: the compiled document that the operator (or a laptop) writes and the dispatcher reads.

Everything in it is resolved: overrides are applied, defaults filled in, durations are seconds, names are
checked. Loggers are in `config_logger`, relays and reports in `config_relay`. It holds no secret: credentials
are named (`SecretKeyRef`) and read by the dispatcher itself.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from typing import Literal

from tubepost_api.compiled import Compiled, SecretKeyRef, later
from tubepost_api.config_jetstream import JetStreamConfig
from tubepost_api.config_logger import LoggerConfig
from tubepost_api.config_relay import BounceConfig, BouncesConfig, RelayConfig
from tubepost_api.references import ACCOUNT_KEYS, SecretReference

SCHEMA_VERSION = 1
"""Version of this document; a dispatcher reads its own version and the one before."""


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


class StartTlsConfig(Compiled):
    """STARTTLS of the listener; certificate and key are absent when `mode` is Disabled."""

    mode: StartTlsMode = StartTlsMode.DISABLED
    certificate: SecretKeyRef | None = None
    private_key: SecretKeyRef | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class AuthConfig(Compiled):
    """AUTH of the listener.

    The Secret holds `username` and `password` (type kubernetes.io/basic-auth), or `users`, a text of
    `name:password` lines, or both.
    """

    secret: str
    required: bool = True
    require_tls: bool = True


class ListenerLimits(Compiled):
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


class ListenerConfig(Compiled):
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


class AcceptanceConfig(Compiled):
    """When a message is acknowledged; `deadline` is seconds between the end of DATA and the reply."""

    mode: AcceptanceMode = AcceptanceMode.DIRECT
    deadline: float = 30.0
    overflow: AcceptanceOverflow = later(AcceptanceOverflow.REFUSE)
    """With mode Direct only; `Queue` comes with a queue."""


class QueueConfig(Compiled):
    """The queue: on disk, per pod, or a stream that all pods share.

    `persistent`: it outlives the pod; limits of 0 are none. With a stream, `max_messages` is the stream's.
    """

    persistent: bool
    max_messages: int = 0
    max_bytes: int = 0
    reserve: int = 64 * 1024 * 1024
    """Bytes of the volume that are left free."""
    jet_stream: JetStreamConfig | None = later(None)
    """None: it is on disk."""


class ServingWorkload(Compiled):
    """A workload whose pods take mail. Others, of before a move, deliver what they have and take no more.

    `replicas`: of a StatefulSet, the ordinals below it serve; None: all.
    """

    kind: Literal["Deployment", "StatefulSet"]
    replicas: int | None = None


class Throttle(Compiled):
    """At most `messages` notifications every `seconds`, per pod (Momentum `outbound_throttle_messages`)."""

    messages: int
    seconds: float = 1.0


class DeliveryConfig(Compiled):
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


class EntryConfig(Compiled):
    """One domain entry: exactly one of `name` (exact) and `pattern` (RE2, must match the whole domain)."""

    name: str | None = None
    pattern: str | None = None
    routes: tuple[str, ...]
    delivery: DeliveryConfig
    bounces: BounceConfig = later(BounceConfig())


class CertificateConfig(Compiled):
    """Certificate authentication towards APNs."""

    certificate: SecretKeyRef
    private_key: SecretKeyRef


class TokenConfig(Compiled):
    """Provider-token authentication towards APNs: a .p8 key with its key id and team id."""

    private_key: SecretKeyRef
    key_id: SecretKeyRef
    team_id: SecretKeyRef


class RouteDefaults(Compiled):
    """Values for push parts that do not name their own. `priority` None: by push type."""

    push_type: str | None = None
    priority: Literal[1, 5, 10] | None = None
    collapse_id: str | None = None


class RouteTls(Compiled):
    """TLS towards APNs. `ca` None: the system's trust store; `ciphers` None: the library's defaults."""

    verify: bool = True
    ca: SecretKeyRef | None = None
    ciphers: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class RouteConfig(Compiled):
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


class PolicyConfig(Compiled):
    """The hooks of a PushDomain, in Python. `timeout` in seconds, `memory` in bytes."""

    name: str
    """Of the ConfigMap that they are from, for messages."""
    source: str
    """The whole module: so that it comes into force with the rest of the document, and goes with it."""
    timeout: float = 1.0
    """For one call of a hook."""
    memory: int = 128 * 1024 * 1024
    """Of one process."""
    processes: int = 1
    """Processes of each worker."""


class RestTlsConfig(Compiled):
    """TLS of the listener for requests."""

    certificate: SecretKeyRef
    private_key: SecretKeyRef
    min_version: Literal["1.2", "1.3"] = "1.2"


class RestConfig(Compiled):
    """The listener for notifications as HTTP requests. `tokens` names a Secret: client -> bearer token."""

    port: int = 8080
    tls: RestTlsConfig | None = None
    tokens: str
    max_batch: int = 1_000
    """Most notifications of one request."""
    max_body_size: int = 10 * 1024 * 1024
    """Largest body of a request, in bytes."""

    def references(self, name: str) -> Iterator[SecretReference]:
        """The Secrets that the listener of PushDomain `name` needs."""
        if self.tls is not None:
            keys = (self.tls.certificate.key, self.tls.private_key.key)
            yield SecretReference("RestTls", name, self.tls.certificate.secret, keys)
        yield SecretReference("RestTokens", name, self.tokens, ())


class TracingConfig(Compiled):
    """Where spans go, by OTLP over HTTP, and of how many messages in a hundred."""

    endpoint: str
    """Base address of the receiver; spans go to /v1/traces below it."""
    sample_percent: int = 100


class DispatcherConfig(Compiled):
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
    passthru: RelayConfig | None = None
    """The relay for what is not a push."""
    log_level: Literal["Debug", "Info", "Warning", "Error"] = "Info"
    workers: int = 0
    """Worker processes; 0: from the CPU limit."""
    queue: QueueConfig | None = later(None)
    """None: nothing is queued; what a queue still has is delivered."""
    serving: tuple[ServingWorkload, ...] = later(())
    """Empty: every pod takes mail."""
    bounces: BouncesConfig | None = later(None)
    """None: there is no relay for reports, and for mail that hooks make."""
    policy: PolicyConfig | None = later(None)
    context_addresses: Literal["Allow", "Ignore"] = later("Allow")
    """Whether senders may set DLV_Source_Addr and DLV_Dest_Addr."""
    rest: RestConfig | None = later(None)
    """None: notifications come by SMTP alone."""
    message_log: Literal["Disabled", "Enabled"] = later("Disabled")
    """Whether each message has a line in the program's own log."""
    tracing: TracingConfig | None = later(None)
    """None: no spans are made."""

    def to_json(self) -> str:
        """The document as canonical JSON (sorted keys, camelCase)."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of `to_json()`: the config hash in metrics and status."""
        return text_digest(self.to_json())

    def references(self) -> Iterator[SecretReference]:
        """The Secrets that the PushDomain itself needs, without those of its routes and loggers."""
        yield from self.listener.references(self.name)
        if self.passthru is not None:
            yield from self.passthru.references(self.name, "RelayAccount", "RelayAuthorities")
        if self.bounces is not None:
            yield from self.bounces.references(self.name)
        if self.rest is not None:
            yield from self.rest.references(self.name)
        if self.queue is not None and self.queue.jet_stream is not None:
            yield from self.queue.jet_stream.references(self.name)

    def secret_names(self) -> frozenset[str]:
        """Names of all Secrets that this configuration refers to, those of routes and loggers included."""
        of_routes = (route.references() for route in self.routes.values())
        of_loggers = (logger.references() for logger in self.loggers)
        every = chain(self.references(), *of_routes, *of_loggers)
        return frozenset(reference.secret for reference in every)


def text_digest(text: str) -> str:
    """`DispatcherConfig.digest` of a document that is there as its canonical JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
