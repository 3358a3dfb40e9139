"""The SMTP listener of a PushDomain."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import (
    AuthConfig,
    ListenerConfig,
    ListenerLimits,
    McmtReception,
    StartTlsConfig,
    StartTlsMode,
)
from tubepost_api.convert import converted
from tubepost_api.fields import (
    UNIQUE,
    Count,
    DurationOrZero,
    Host,
    Network,
    Port,
    SecretName,
    Size,
    no_repeats,
)
from tubepost_api.rules import Rule, SpecModel


class StartTlsSpec(SpecModel):
    """STARTTLS of the listener."""

    mode: StartTlsMode = StartTlsMode.DISABLED
    """Disabled; Optional; Required: no mail is taken without."""
    secret_name: SecretName | None = None
    """Secret of type kubernetes.io/tls (tls.crt, tls.key) with the listener's certificate."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """Lowest TLS version."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.secretName) == (self.mode != 'Disabled')",
            "mode and secretName do not go together",
            "set secretName with mode Optional or Required, and leave both out to do without STARTTLS",
            lambda tls: (tls.secret_name is not None) == (tls.mode != StartTlsMode.DISABLED),
            "secretName",
        ),
    )


class AuthSpec(SpecModel):
    """AUTH of the listener."""

    secret_name: SecretName
    """Secret with username and password (type kubernetes.io/basic-auth), or with users: lines of
    NAME:PASSWORD."""
    required: bool = True
    """Whether mail is taken from authenticated clients only."""
    require_tls: bool = True
    """Whether AUTH is offered under TLS only."""


class LimitsSpec(SpecModel):
    """Bounds of the listener. Counts are per pod; 0 is no limit."""

    max_message_size: Size = 10_240_000
    """Largest message, in bytes or as a quantity."""
    max_header_size: Size = 102_400
    """Largest header of a message, in bytes or as a quantity."""
    max_line_length: Size = 65_536
    """Longest line of a message, in bytes or as a quantity."""
    max_connections: Count = 2_000
    """Most sessions at a time. When they are reached, the address with the most makes room for others."""
    max_connections_per_client: Count = 500
    """Most sessions at a time of one client address."""
    max_recipients: Count = 1_000
    """Most RCPT TO commands of one transaction, the refused ones included."""
    max_errors: Count = 20
    """Refused commands after which a session is closed."""
    command_timeout: DurationOrZero = "5m"
    """Longest wait for a command that does something, or data; NOOP, RSET and refused ones buy no time."""
    tls_handshake_timeout: DurationOrZero = "30s"
    """Longest time for the TLS handshake."""
    max_session_age: DurationOrZero = "1h"
    """Age at which a session is closed between two transactions, so that new replicas get traffic."""
    max_messages_per_session: Count = 0
    """Messages after which a session is closed, so that new replicas get traffic."""


HTTP_PORT: Final = 9090
"""Port of metrics and health in a dispatcher's pod."""
ADMIN_PORT: Final = 9091
"""Port of /status in a dispatcher's pod, on its loopback."""
OWN_PORTS: Final = (HTTP_PORT, ADMIN_PORT)
"""Ports that no listener can have."""


class ProxyProtocolSpec(SpecModel):
    """The PROXY protocol, versions 1 and 2."""

    trusted_networks: Annotated[
        tuple[Network, ...],
        Field(min_length=1, max_length=64, json_schema_extra=UNIQUE),
        AfterValidator(no_repeats),
    ]
    """IP networks of the load balancers. Connections from there have to begin with the header; from elsewhere
    a header is refused."""


class ListenerSpec(SpecModel):
    """The SMTP listener."""

    port: Port = 2525
    """Port that the dispatcher listens on."""
    hostname: Host | None = None
    """Name in the greeting; without it NAME.NAMESPACE.svc of the PushDomain."""
    mcmt_reception: McmtReception = McmtReception.ALLOW
    """What becomes of MCMT messages (Momentum `mcmt_reception`): Allow takes the push parts out; Reject
    refuses them; Passthru hands them to the relay as they are."""
    start_tls: StartTlsSpec = StartTlsSpec()
    """STARTTLS."""
    auth: AuthSpec | None = None
    """AUTH; without it anybody who reaches the port may send."""
    allowed_networks: Annotated[
        tuple[Network, ...], Field(max_length=64, json_schema_extra=UNIQUE), AfterValidator(no_repeats)
    ] = ()
    """IP networks whose hosts may connect; empty: all. Behind a load balancer with proxyProtocol these are
    the clients'."""
    proxy_protocol: ProxyProtocolSpec | None = None
    """The PROXY protocol, by which a load balancer says whom it connects."""
    limits: LimitsSpec = LimitsSpec()
    """Bounds."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.port >= 1024",
            "the dispatcher has no rights to a port below 1024",
            "choose one above, such as 2525; what senders see is spec.service.port",
            lambda listener: listener.port >= 1024,
            "port",
        ),
        Rule(
            f"!(self.port in [{', '.join(map(str, OWN_PORTS))}])",
            f"{' and '.join(map(str, OWN_PORTS))} are the dispatcher's own, for metrics and status",
            "choose another port, such as 2525; what senders see is spec.service.port",
            lambda listener: listener.port not in OWN_PORTS,
            "port",
        ),
        Rule(
            "!has(self.auth) || !self.auth.requireTls || self.startTls.mode != 'Disabled'",
            "auth.requireTls needs STARTTLS",
            "set startTls.mode and startTls.secretName, or auth.requireTls: false in a trusted network",
            lambda listener: (
                listener.auth is None
                or not listener.auth.require_tls
                or listener.start_tls.mode != StartTlsMode.DISABLED
            ),
            "auth",
        ),
    )


def to_config(spec: ListenerSpec, *, hostname: str) -> ListenerConfig:
    """The listener as the dispatcher reads it; `hostname` serves where the spec names none."""
    starttls = StartTlsConfig(mode=spec.start_tls.mode, min_version=spec.start_tls.min_version)
    if spec.start_tls.secret_name is not None:
        secret = spec.start_tls.secret_name
        starttls = StartTlsConfig(
            mode=spec.start_tls.mode,
            certificate=SecretKeyRef(secret=secret, key="tls.crt"),
            private_key=SecretKeyRef(secret=secret, key="tls.key"),
            min_version=spec.start_tls.min_version,
        )
    auth = None
    if spec.auth is not None:
        auth = AuthConfig(
            secret=spec.auth.secret_name, required=spec.auth.required, require_tls=spec.auth.require_tls
        )
    return ListenerConfig(
        port=spec.port,
        hostname=spec.hostname or hostname,
        mcmt_reception=spec.mcmt_reception,
        starttls=starttls,
        auth=auth,
        allowed_networks=spec.allowed_networks,
        proxy_networks=spec.proxy_protocol.trusted_networks if spec.proxy_protocol else (),
        limits=converted(spec.limits, ListenerLimits),
    )
