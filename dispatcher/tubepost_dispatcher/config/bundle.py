"""A configuration with the Secrets that it refers to, and the check of both."""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tubepost_api.config import DispatcherConfig, RestConfig, RouteConfig, StartTlsMode
from tubepost_api.config_logger import WebhookConfig
from tubepost_api.config_relay import RelayConfig
from tubepost_api.digest import bundle_digest
from tubepost_api.problems import Problem, ProblemCode
from tubepost_api.references import SecretReference
from tubepost_credentials import CertificateCredential, Fault, TokenCredential
from tubepost_credentials.secrets import Material, Notice, SecretFinding, Secrets, check
from tubepost_credentials.tls import client_context, server_context
from tubepost_dispatcher.apns.pool_key import pool_key
from tubepost_dispatcher.apns.tls import check_client_options
from tubepost_dispatcher.config.jetstream import jet_stream_settings
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings


@dataclass(frozen=True, slots=True)
class ConfigBundle:
    """Everything that decides what a dispatcher does: the compiled document and the Secrets' contents."""

    config: DispatcherConfig
    secrets: Secrets = field(repr=False)

    def digest(self) -> str:
        """The hash that the operator compares, too: where it is equal, nothing changed (`bundle_digest`)."""
        return bundle_digest(self.config, self.secrets)


@dataclass(frozen=True, slots=True)
class PreparedRoute:
    """A route with its credential. `credential` None: it could not be read, requests are held."""

    config: RouteConfig
    credential: CertificateCredential | TokenCredential | None = field(repr=False)
    ca_pem: bytes | None = None
    proxy_auth: str | None = field(default=None, repr=False)

    @property
    def pool_key(self) -> Hashable:
        """Equal keys: the same pool stays. Endpoint, credential, TLS and proxy are in it."""
        return pool_key(self.config, self.credential, self.ca_pem, self.proxy_auth)


@dataclass(frozen=True, slots=True)
class PreparedRelay:
    """The relay for reports, with what it takes to use it.

    `tls`: for a relay with authorities of its own; None: by the system's trust store, if it has TLS at all.
    Where the authorities cannot be read, the context trusts nobody: mail is held.
    """

    config: RelayConfig
    auth: tuple[str, str] | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class PreparedRest:
    """The listener for requests, with its certificate and its clients.

    `tokens`: bearer token of each client; those that can be read. `tls` None: without TLS, as it is wanted.
    """

    config: RestConfig
    tls: ssl.SSLContext | None
    tokens: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreparedWebhook:
    """A webhook with what its requests need; `tls` None: by the system's trust store, if it has TLS."""

    config: WebhookConfig
    authorization: str | None = field(default=None, repr=False)
    signing_key: bytes | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bundle whose every part was read and checked: ready to be applied."""

    bundle: ConfigBundle
    digest: str
    routes: Mapping[str, PreparedRoute]
    starttls: ssl.SSLContext | None
    users: Mapping[str, str] | None = field(repr=False)
    relay_auth: tuple[str, str] | None = field(repr=False)
    relay_tls: ssl.SSLContext | None = None
    """For a relay with authorities of its own; None: by the system's trust store, if it has TLS at all. Where
    the authorities cannot be read, the context trusts nobody: mail is held."""
    bounce_relay: PreparedRelay | None = None
    """None: reports go nowhere."""
    rest: PreparedRest | None = None
    """None: there is no such listener, or its certificate cannot be used: it must not listen without."""
    jet_stream: JetStreamSettings | None = field(default=None, repr=False)
    """None: the queue is not on JetStream, or a Secret for it cannot be used: nothing is tried without."""
    webhooks: Mapping[str, PreparedWebhook | None] = field(default_factory=dict)
    """Of the loggers that have one, by name. None: one of its Secrets cannot be used; nothing is sent."""
    warnings: tuple[Problem, ...] = ()
    """Credentials that can be tried, but are out of their time or of the other environment."""
    notices: tuple[Problem, ...] = ()
    """Warnings, too, of credentials that are good: one ends soon, one was read although it is untidy, one was
    chosen of several."""

    certificates: tuple[str, ...] = ()
    """Fingerprints of the certificates in use: of several in one Secret another one is chosen in time."""
    chosen_until: float | None = None
    """Unix seconds when another certificate may be the better one; None: there is no choice."""

    @property
    def config(self) -> DispatcherConfig:
        """The compiled document."""
        return self.bundle.config

    @property
    def obstacle(self) -> str:
        """Why no message at all can be accepted; empty while some can.

        It can only be there from the start of a lenient dispatcher: a reload never loses what could be read.
        """
        listener = self.config.listener
        if listener.starttls.mode is StartTlsMode.REQUIRED and self.starttls is None:
            return "STARTTLS is required and its certificate cannot be used"
        if listener.auth is not None and listener.auth.required and not self.users:
            return "AUTH is required and its Secret names no user"
        queue = self.config.queue
        if queue is not None and queue.jet_stream is not None and self.jet_stream is None:
            return "a Secret for the queue on JetStream cannot be used"
        mail_alone = self.config.passthru is not None  # what is no push goes to the relay all the same
        if not mail_alone and self.routes and all(route.credential is None for route in self.routes.values()):
            return "no ApnRoute has a credential that can be used"
        return ""

    def loses_users_of(self, old: Prepared) -> bool:
        """Whether `old` has users who can log in, and this configuration has AUTH but no users.

        Or the same of clients and their tokens. A lenient dispatcher starts with the good users of a Secret
        in which one line is broken. It tolerates problems with this Secret from then on, but must not lose
        its users to a further one.
        """
        if old.rest is not None and old.rest.tokens and self.rest is not None and not self.rest.tokens:
            return True
        return bool(old.users) and self.users == {}


def prepare(bundle: ConfigBundle, now: float | None = None) -> tuple[Prepared, tuple[Problem, ...]]:
    """Read and check every secret that the configuration names.

    Args:
        bundle: the configuration and the Secrets' contents.
        now: unix seconds, for warnings of certificates that are not valid then, and for the choice between
            several; None: their time is not looked at.

    Returns:
        The prepared bundle and what is wrong with it. With problems, the prepared bundle can still serve
        whatever is not concerned: a route without a usable credential holds its requests, users that can be
        read may log in. Whoever replaces a working configuration must refuse one that has problems.
    """
    config = bundle.config
    problems: list[Problem] = []
    warnings: list[Problem] = []
    notices: list[Problem] = []
    certificates: list[CertificateCredential] = []

    def read(references: Iterable[SecretReference]) -> Material:
        material = check(references, bundle.secrets, now)
        for finding in material.findings:
            (warnings if finding.fault.serves else problems).append(_problem(config, finding))
        notices.extend(_notice(config, notice) for notice in material.notices)
        found = (material.certificate, material.rest_certificate)
        certificates.extend(certificate for certificate in found if certificate is not None)
        return material

    routes = {}
    for name, route in config.routes.items():
        routes[name] = _prepare_route(config, route, read(route.references()), problems)
    own = read(config.references())
    prepared = Prepared(
        bundle=bundle,
        digest=bundle.digest(),
        routes=routes,
        starttls=_prepare_starttls(config, own, problems),
        users=own.users,
        relay_auth=own.relay_account,
        relay_tls=_relay_tls(config.passthru, own.authorities),
        bounce_relay=_prepare_bounce_relay(config, own),
        rest=_prepare_rest(config, own, problems),
        jet_stream=_prepare_jet_stream(config, own, problems),
        webhooks={
            logger.name: _prepare_webhook(logger.webhook, read(logger.references()))
            for logger in config.loggers
            if logger.webhook is not None
        },
        warnings=tuple(warnings),
        notices=tuple(notices),
        certificates=tuple(certificate.fingerprint for certificate in certificates),
        chosen_until=min(
            (item.chosen_until.timestamp() for item in certificates if item.chosen_until is not None),
            default=None,
        ),
    )
    return prepared, tuple(problems)


def _problem(config: DispatcherConfig, finding: SecretFinding) -> Problem:
    absent = finding.fault is Fault.SECRET_NOT_FOUND
    return Problem(
        severity="warning" if finding.fault.serves else "error",
        origin="",
        kind=finding.kind,
        namespace=config.namespace,
        name=finding.name,
        field=finding.field,
        message=finding.message,
        remedy=finding.remedy,
        code=ProblemCode.SECRET_NOT_FOUND if absent else ProblemCode.OTHER,
        secret=finding.secret,
    )


def _notice(config: DispatcherConfig, notice: Notice) -> Problem:
    where = (notice.kind, config.namespace, notice.name, notice.field)
    return Problem("warning", "", *where, notice.message, notice.remedy, secret=notice.secret)


def _unusable(
    config: DispatcherConfig, kind: str, name: str, field: str, message: str, remedy: str
) -> Problem:
    return Problem("error", "", kind, config.namespace, name, field, message, remedy)


def _prepare_route(
    config: DispatcherConfig, route: RouteConfig, material: Material, problems: list[Problem]
) -> PreparedRoute:
    # Without the authorities or the proxy account that were asked for, nothing is sent either.
    credential = (material.certificate or material.token) if material.complete else None
    if credential is not None:
        try:
            # Not known yet: what OpenSSL thinks of the ciphers, and of the strength of certificate and key.
            check_client_options(route.tls, credential)
        except (ssl.SSLError, ValueError) as error:
            credential = None
            message = f"cannot be used: {error}"
            remedy = "correct the TLS options, or put a certificate with a stronger key into the Secret"
            problems.append(_unusable(config, "ApnRoute", route.name, "spec.tls", message, remedy))
    return PreparedRoute(
        config=route,
        credential=credential,
        ca_pem=material.authorities,
        proxy_auth=material.proxy_account,
    )


def _prepare_starttls(
    config: DispatcherConfig, material: Material, problems: list[Problem]
) -> ssl.SSLContext | None:
    starttls = config.listener.starttls
    if starttls.mode is StartTlsMode.DISABLED:
        return None
    place = "spec.listener.startTls"
    return _server_tls(config, material.certificate, starttls.min_version, place, problems)


def _prepare_rest(
    config: DispatcherConfig, material: Material, problems: list[Problem]
) -> PreparedRest | None:
    rest, tls = config.rest, None
    if rest is None:
        return None
    if rest.tls is not None:
        tls = _server_tls(config, material.rest_certificate, rest.tls.min_version, "spec.rest.tls", problems)
        if tls is None:
            return None
    return PreparedRest(rest, tls, material.rest_tokens or {})


def _prepare_jet_stream(
    config: DispatcherConfig, material: Material, problems: list[Problem]
) -> JetStreamSettings | None:
    if config.queue is None or config.queue.jet_stream is None:
        return None
    try:
        return jet_stream_settings(config.queue.jet_stream, material)
    except (ssl.SSLError, ValueError) as error:
        message = f"certificate and key cannot be used: {error}"
        remedy = "put a stronger certificate, or a key that is not encrypted, into the Secret"
        place = "spec.queue.jetStream.tls.certificate"
        problems.append(_unusable(config, "PushDomain", config.name, place, message, remedy))
        return None


def _server_tls(
    config: DispatcherConfig,
    pair: CertificateCredential | None,
    min_version: Literal["1.2", "1.3"],
    place: str,
    problems: list[Problem],
) -> ssl.SSLContext | None:
    if pair is None:
        return None
    try:
        return server_context(pair.certificate_pem, pair.private_key_pem, min_version=min_version)
    except (ssl.SSLError, ValueError) as error:
        message = f"certificate and key cannot be used: {error}"
        remedy = "store a PEM certificate chain in tls.crt and its private key in tls.key"
        problems.append(_unusable(config, "PushDomain", config.name, place, message, remedy))
        return None


def _prepare_bounce_relay(config: DispatcherConfig, material: Material) -> PreparedRelay | None:
    if config.bounces is None:
        return None
    relay = config.bounces.relay
    return PreparedRelay(relay, material.bounce_account, _relay_tls(relay, material.bounce_authorities))


def _relay_tls(relay: RelayConfig | None, authorities: bytes | None) -> ssl.SSLContext | None:
    if relay is None or relay.tls == "None" or relay.ca is None:
        return None
    return client_context(verify=relay.verify, authorities=authorities)


def _prepare_webhook(webhook: WebhookConfig, material: Material) -> PreparedWebhook | None:
    if not material.complete:
        return None
    tls = None
    if webhook.ca is not None or not webhook.verify:
        tls = client_context(verify=webhook.verify, authorities=material.authorities)
    return PreparedWebhook(webhook, material.authorization, material.signing_key, tls)
