"""A configuration with the secrets that it names, and the check of both."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from tubepost_api.config import DispatcherConfig, RouteConfig, SecretKeyRef, StartTlsMode
from tubepost_api.digest import bundle_digest
from tubepost_api.problems import Problem
from tubepost_credentials import (
    CertificateCredential,
    CredentialError,
    TokenCredential,
    load_certificate,
    load_token,
)
from tubepost_credentials.tls import server_context
from tubepost_dispatcher.apns.tls import client_context

Secrets = Mapping[str, Mapping[str, bytes]]


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bundle whose every part was read and checked: ready to be applied."""

    bundle: ConfigBundle
    digest: str
    routes: Mapping[str, PreparedRoute]
    starttls: ssl.SSLContext | None
    users: Mapping[str, str] | None = field(repr=False)
    relay_auth: tuple[str, str] | None = field(repr=False)

    @property
    def config(self) -> DispatcherConfig:
        """The compiled document."""
        return self.bundle.config

    @property
    def obstacle(self) -> str:
        """Why not a single message can be taken; empty while some can.

        Only what is there from the start of a lenient dispatcher: a reload never loses what could be read.
        """
        listener = self.config.listener
        if listener.starttls.mode is StartTlsMode.REQUIRED and self.starttls is None:
            return "STARTTLS is required and its certificate cannot be used"
        if listener.auth is not None and listener.auth.required and not self.users:
            return "AUTH is required and its Secret names no user"
        mail_alone = self.config.passthru is not None  # what is no push goes to the relay all the same
        if not mail_alone and self.routes and all(route.credential is None for route in self.routes.values()):
            return "no ApnRoute has a credential that can be used"
        return ""


class _Reader:
    """Reads secrets, and collects what is wrong with them instead of raising."""

    def __init__(self, bundle: ConfigBundle) -> None:
        self.bundle = bundle
        self.problems: list[Problem] = []

    def problem(self, kind: str, name: str, where: str, message: str, remedy: str) -> None:
        self.problems.append(
            Problem(
                severity="error",
                origin="",
                kind=kind,
                namespace=self.bundle.config.namespace,
                name=name,
                field=where,
                message=message,
                remedy=remedy,
            )
        )

    def key(self, ref: SecretKeyRef, kind: str, name: str, where: str) -> bytes | None:
        secret = self.bundle.secrets.get(ref.secret)
        if secret is None:
            self.problem(
                kind, name, where, f"Secret {ref.secret!r} is missing", f"create Secret {ref.secret!r}"
            )
            return None
        value = secret.get(ref.key)
        if value is None:
            have = ", ".join(sorted(secret)) or "none"
            self.problem(
                kind,
                name,
                where,
                f"Secret {ref.secret!r} has no key {ref.key!r} (it has: {have})",
                f"add the key {ref.key!r} to the Secret, or name the right key in {where}",
            )
        return value


def prepare(bundle: ConfigBundle) -> tuple[Prepared, tuple[Problem, ...]]:
    """Read and check every secret that the configuration names.

    Returns:
        The prepared bundle and what is wrong with it. With problems, the prepared bundle can still serve
        whatever is not concerned: a route without a usable credential holds its requests. Whoever replaces
        a working configuration must refuse one that has problems.
    """
    reader = _Reader(bundle)
    config = bundle.config
    routes = {name: _prepare_route(reader, route) for name, route in config.routes.items()}
    prepared = Prepared(
        bundle=bundle,
        digest=bundle.digest(),
        routes=routes,
        starttls=_prepare_starttls(reader),
        users=_prepare_users(reader),
        relay_auth=_prepare_relay_auth(reader),
    )
    return prepared, tuple(reader.problems)


def _prepare_route(reader: _Reader, route: RouteConfig) -> PreparedRoute:
    kind, name = "ApnRoute", route.name
    credential: CertificateCredential | TokenCredential | None = None
    where = "spec.certificate" if route.certificate else "spec.token"
    try:
        if route.certificate:
            cert = reader.key(route.certificate.certificate, kind, name, f"{where}.secretName")
            key = reader.key(route.certificate.private_key, kind, name, f"{where}.secretName")
            if cert is not None and key is not None:
                credential = load_certificate(cert, key)
        elif route.token:
            p8 = reader.key(route.token.private_key, kind, name, f"{where}.secretName")
            key_id = reader.key(route.token.key_id, kind, name, f"{where}.secretName")
            team_id = reader.key(route.token.team_id, kind, name, f"{where}.secretName")
            if p8 is not None and key_id is not None and team_id is not None:
                credential = load_token(p8, key_id, team_id)
    except CredentialError as error:
        reader.problem(kind, name, where, error.message, error.remedy)
    ca_pem = None
    if route.tls.ca:
        ca_pem = reader.key(route.tls.ca, kind, name, "spec.tls.caSecretName")
        if ca_pem is None:
            credential = None  # without the CA that was asked for, no server is trusted
    if credential is not None:
        try:
            client_context(route.tls, credential, ca_pem)
        except (ssl.SSLError, ValueError) as error:
            reader.problem(kind, name, "spec.tls", f"cannot be used: {error}", "correct the TLS options")
            credential = None
    proxy_auth = None
    if route.proxy_auth:
        raw = reader.key(route.proxy_auth, kind, name, "spec.proxy.authSecretName")
        if raw is None:
            credential = None
        else:
            proxy_auth = raw.decode("utf-8", "replace").strip()
    return PreparedRoute(config=route, credential=credential, ca_pem=ca_pem, proxy_auth=proxy_auth)


def _prepare_starttls(reader: _Reader) -> ssl.SSLContext | None:
    config = reader.bundle.config
    starttls = config.listener.starttls
    if starttls.mode is StartTlsMode.DISABLED or not starttls.certificate or not starttls.private_key:
        return None
    where = "spec.listener.startTls"
    cert = reader.key(starttls.certificate, "PushDomain", config.name, f"{where}.secretName")
    key = reader.key(starttls.private_key, "PushDomain", config.name, f"{where}.secretName")
    if cert is None or key is None:
        return None
    try:
        return server_context(cert, key, min_version=starttls.min_version)
    except (ssl.SSLError, ValueError) as error:
        reader.problem(
            "PushDomain",
            config.name,
            where,
            f"certificate and key of Secret {starttls.certificate.secret!r} cannot be used: {error}",
            "store a PEM certificate chain in tls.crt and its private key in tls.key",
        )
        return None


def _prepare_users(reader: _Reader) -> Mapping[str, str] | None:
    config = reader.bundle.config
    auth = config.listener.auth
    if auth is None:
        return None
    where = "spec.listener.auth.secretName"
    secret = reader.bundle.secrets.get(auth.secret)
    if secret is None:
        reader.problem(
            "PushDomain",
            config.name,
            where,
            f"Secret {auth.secret!r} is missing",
            f"create Secret {auth.secret!r} with the keys 'username' and 'password'",
        )
        return {}
    users: dict[str, str] = {}
    for line in secret.get("users", b"").decode("utf-8", "replace").splitlines():
        user, colon, password = line.strip().partition(":")
        if user and not user.startswith("#"):
            if colon and password:
                users[user] = password
            else:
                reader.problem(
                    "PushDomain",
                    config.name,
                    where,
                    f"key 'users' of Secret {auth.secret!r} has a line without 'name:password'",
                    "write one name:password per line",
                )
    if "username" in secret and "password" in secret:
        user = secret["username"].decode("utf-8", "replace").strip()
        users[user] = secret["password"].decode("utf-8", "replace").rstrip("\r\n")
    if not users:
        have = ", ".join(sorted(secret)) or "none"
        reader.problem(
            "PushDomain",
            config.name,
            where,
            f"Secret {auth.secret!r} names no user (its keys: {have})",
            "give it the keys 'username' and 'password', or 'users' with name:password lines",
        )
    return users


def _prepare_relay_auth(reader: _Reader) -> tuple[str, str] | None:
    config = reader.bundle.config
    if config.passthru is None or config.passthru.auth is None:
        return None
    where = "spec.passthru.authSecretName"
    values = [
        reader.key(SecretKeyRef(secret=config.passthru.auth, key=key), "PushDomain", config.name, where)
        for key in ("username", "password")
    ]
    if values[0] is None or values[1] is None:
        return None
    return values[0].decode("utf-8", "replace").strip(), values[1].decode("utf-8", "replace").rstrip("\r\n")
