"""ApnRoute: where notifications go and with what credential (Momentum's `routes` and `tls_*`)."""

from __future__ import annotations

import ssl
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.conditions import Conditions
from tubepost_api.config import CertificateConfig, RouteConfig, RouteDefaults, RouteTls, TokenConfig
from tubepost_api.convert import converted
from tubepost_api.endpoint import ENDPOINT_PATTERN, HOSTS, Environment, parse_endpoint
from tubepost_api.fields import Checked, Name, SecretKey, SecretName
from tubepost_api.resource import NAME_RULE, Column, KindNames, Resource, age_column, ready_column
from tubepost_api.rules import Rule, SpecModel
from tubepost_api.secretkeys import CaSpec, SecretKeySpec, key_of

PushType = Literal[
    "alert",
    "background",
    "location",
    "voip",
    "complication",
    "fileprovider",
    "mdm",
    "liveactivity",
    "pushtotalk",
    "widgets",
    "controls",
]
"""Apple's push types (`apns-push-type`)."""


def _check_ciphers(text: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(text)
    except ssl.SSLError as error:
        raise ValueError(f"OpenSSL knows no cipher of {text!r}") from error


def _check_proxy(text: str) -> None:
    port = int(text.rstrip("/").rpartition(":")[2])
    if not 1 <= port <= 65_535:
        raise ValueError(f"port {port} does not exist")


EndpointText = Annotated[
    str,
    Checked(
        "an endpoint",
        "write https://HOST or https://HOST:PORT; for Apple's own service rather set environment: Production "
        "or environment: Sandbox",
        ENDPOINT_PATTERN,
        300,
        check=parse_endpoint,
    ),
]
Topic = Annotated[
    str,
    Checked(
        "a topic",
        "write the bundle id of the app, such as com.example.app",
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        255,
    ),
]
CollapseId = Annotated[
    str,
    Checked(
        "a collapse id",
        "use 1 to 64 printable ASCII characters",
        r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        64,
    ),
]
Ciphers = Annotated[
    str,
    Checked(
        "an OpenSSL cipher list",
        "write a list that `openssl ciphers` takes, such as DEFAULT or ECDHE+AESGCM",
        r"^[A-Za-z0-9:+!@=._-]+$",
        1024,
        check=_check_ciphers,
    ),
]
ProxyUrl = Annotated[
    str,
    Checked(
        "the address of a proxy",
        "write http://HOST:PORT; user and password come from a Secret (proxy.auth)",
        r"^http://([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?$",
        300,
        check=_check_proxy,
        confidential=True,
    ),
]


class CertificateSpec(SpecModel):
    """A certificate that Apple issued, with its private key, both PEM."""

    secret_name: SecretName
    """Secret that holds certificate and private key, for example of type kubernetes.io/tls."""
    certificate_key: SecretKey = "tls.crt"
    """Key of the Secret that holds the certificate chain (Momentum `tls_certificate`)."""
    private_key_key: SecretKey = "tls.key"
    """Key of the Secret that holds the private key (Momentum `tls_key`)."""


class TokenSpec(SpecModel):
    """A provider token: the signing key with its ids, in one Secret so that they change together."""

    secret_name: SecretName
    """Secret that holds the signing key, its key id and the team id."""
    private_key_key: SecretKey = "key.p8"
    """Key of the Secret that holds the signing key, the .p8 file from Apple."""
    key_id_key: SecretKey = "keyId"
    """Key of the Secret that holds the key id, 10 characters."""
    team_id_key: SecretKey = "teamId"
    """Key of the Secret that holds the team id, 10 characters."""


class DefaultsSpec(SpecModel):
    """Values for push parts that bring none of their own."""

    push_type: PushType | None = None
    """Push type (`apns-push-type`); without it alert, or background where the payload says so."""
    priority: Literal[1, 5, 10] | None = None
    """Priority (`apns-priority`): 10 at once, 5 with regard to the battery, 1 never wakes the device; without
    it what the push type asks for."""
    collapse_id: CollapseId | None = None
    """Collapse id (`apns-collapse-id`): of notifications with the same one the device shows the newest."""


class RouteTlsSpec(SpecModel):
    """TLS towards APNs."""

    verify: bool = True
    """Whether the server's certificate is verified (Momentum `tls_verify`). Off only for tests."""
    ca: CaSpec | None = None
    """Authorities to trust instead of the system's."""
    ciphers: Ciphers | None = None
    """OpenSSL cipher list for TLS 1.2 (Momentum `tls_ciphers`); without it the library's defaults."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """Lowest TLS version."""


class ProxySpec(SpecModel):
    """An HTTP proxy that connections to APNs go through (CONNECT)."""

    url: ProxyUrl
    """Address of the proxy, http://HOST:PORT."""
    auth: SecretKeySpec | None = None
    """Secret key that holds USER:PASSWORD for the proxy."""


class ApnRouteSpec(SpecModel):
    """Where notifications go and with what credential."""

    environment: Environment | None = None
    """Apple's service: Production or Sandbox (development builds). Either this or endpoint."""
    endpoint: EndpointText | None = None
    """An address of your own, https://HOST:PORT: a simulator, a relay, APNs on port 2197. Legacy addresses of
    the binary protocol (apn://gateway.push.apple.com?port=2195) lead to the HTTP/2 service."""
    certificate: CertificateSpec | None = None
    """Authentication by certificate. Either this or token."""
    token: TokenSpec | None = None
    """Authentication by provider token. Either this or certificate."""
    topic: Topic | None = None
    """Topic (`apns-topic`) of push parts that name none, usually the app's bundle id; without it the topic of
    the certificate."""
    defaults: DefaultsSpec = DefaultsSpec()
    """Values for push parts that bring none of their own."""
    tls: RouteTlsSpec = RouteTlsSpec()
    """TLS towards APNs."""
    proxy: ProxySpec | None = None
    """HTTP proxy to go through."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.environment) != has(self.endpoint)",
            "exactly one of environment and endpoint is needed",
            "set environment: Production or Sandbox for Apple's service, endpoint for any other",
            lambda spec: (spec.environment is None) != (spec.endpoint is None),
        ),
        Rule(
            "has(self.certificate) != has(self.token)",
            "exactly one of certificate and token is needed",
            "name the Secret of one credential",
            lambda spec: (spec.certificate is None) != (spec.token is None),
        ),
    )


class ApnRouteStatus(SpecModel):
    """What the operator found."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = ()
    """Accepted, ReferencesResolved, CredentialsValid, Ready and Delivering."""
    credential: Literal["Certificate", "Token"] | None = None
    """Kind of the credential."""
    environment: Environment | None = None
    """Environment that the route leads to; absent with an endpoint of your own."""
    address: Annotated[str, Field(max_length=320)] | None = None
    """HOST:PORT that the route leads to."""
    topics: Annotated[tuple[Topic, ...], Field(max_length=64)] = ()
    """Topics that the credential serves, the default one first; empty where a token serves all of a team."""
    not_after: datetime | None = None
    """End of the certificate's validity."""
    users: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    """Names of the PushDomains that use the route."""


class ApnRoute(Resource):
    """ApnRoute is a way to APNs: an environment or endpoint, and the credential to use there."""

    names: ClassVar[KindNames] = KindNames(
        "ApnRoute",
        "apnroutes",
        "apnroute",
        "apnr",
        (
            ready_column(),
            Column(
                "Delivering",
                ".status.conditions[?(@.type=='Delivering')].status",
                description="Whether APNs takes notifications by it.",
            ),
            Column("Environment", ".status.environment", description="Environment of APNs."),
            Column("Auth", ".status.credential", description="Kind of the credential."),
            Column("Topic", ".status.topics[0]", description="Topic of push parts that name none."),
            Column("Key expires", ".status.notAfter", description="End of the certificate's validity."),
            Column("Address", ".status.address", description="Where the route leads.", wide=True),
            Column("Users", ".status.users", description="PushDomains that use the route.", wide=True),
            age_column(),
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (NAME_RULE,)

    kind: Literal["ApnRoute"]
    """Kind of the object."""
    spec: ApnRouteSpec
    """Where notifications go and with what credential."""
    status: ApnRouteStatus | None = None
    """What the operator found; never written by users."""


def route_config(route: ApnRoute) -> RouteConfig:
    """A valid ApnRoute as the dispatcher reads it."""
    spec = route.spec
    if spec.endpoint is not None:
        endpoint = parse_endpoint(spec.endpoint)
        environment, host, port = endpoint.environment, endpoint.host, endpoint.port
    else:
        assert spec.environment is not None
        environment, host, port = spec.environment, HOSTS[spec.environment], 443
    proxy = spec.proxy
    return RouteConfig(
        name=route.metadata.name,
        environment=environment,
        host=host,
        port=port,
        certificate=_certificate(spec),
        token=_token(spec),
        topic=spec.topic,
        defaults=converted(spec.defaults, RouteDefaults),
        tls=converted(spec.tls, RouteTls, ca=key_of(spec.tls.ca)),
        proxy=proxy.url.rstrip("/") if proxy else None,
        proxy_auth=key_of(proxy.auth) if proxy else None,
    )


def _certificate(spec: ApnRouteSpec) -> CertificateConfig | None:
    given = spec.certificate
    if given is None:
        return None
    return CertificateConfig(
        certificate=SecretKeyRef(secret=given.secret_name, key=given.certificate_key),
        private_key=SecretKeyRef(secret=given.secret_name, key=given.private_key_key),
    )


def _token(spec: ApnRouteSpec) -> TokenConfig | None:
    given = spec.token
    if given is None:
        return None
    return TokenConfig(
        private_key=SecretKeyRef(secret=given.secret_name, key=given.private_key_key),
        key_id=SecretKeyRef(secret=given.secret_name, key=given.key_id_key),
        team_id=SecretKeyRef(secret=given.secret_name, key=given.team_id_key),
    )
