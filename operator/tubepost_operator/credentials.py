"""Secrets' contents -> what is wrong with them, and what a credential is good for. Pure.

Messages name object, key and remedy; none holds a byte of a Secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tubepost_api.conditions import Reason
from tubepost_api.config import DispatcherConfig, RouteConfig, SecretKeyRef
from tubepost_credentials import (
    CertificateCredential,
    CredentialError,
    TokenCredential,
    load_certificate,
    load_token,
)
from tubepost_operator.observed import Secret

Secrets = Mapping[str, Secret]
"""The Secrets that exist, by name."""

_MISMATCH = "the private key does not belong"
_LISTED = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a reference or a credential.

    `secret` is the name of the Secret concerned. `serves`: a dispatcher could still read it; what is wrong is
    the time or the environment.
    """

    reason: Reason
    message: str
    remedy: str
    secret: str = ""
    serves: bool = False

    @property
    def text(self) -> str:
        """Message and remedy as two sentences."""
        return f"{self.message}. Remedy: {self.remedy}."

    @property
    def of_reference(self) -> bool:
        """Whether a reference is wrong, not what it leads to."""
        return self.reason in {Reason.SECRET_NOT_FOUND, Reason.KEY_MISSING}


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What is known of a route's credential, and all that is wrong with it."""

    kind: Literal["Certificate", "Token"]
    topics: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    findings: tuple[Finding, ...] = ()


def route_facts(route: RouteConfig, secrets: Secrets, now: datetime) -> RouteFacts:
    """Check everything that a route needs of Secrets."""
    reader = _Reader(f"ApnRoute {route.name}", secrets)
    kind: Literal["Certificate", "Token"] = "Certificate" if route.certificate else "Token"
    topics: tuple[str, ...] = (route.topic,) if route.topic else ()
    certificate = None
    if route.certificate:
        certificate = reader.certificate(
            route.certificate.certificate, route.certificate.private_key, "spec.certificate"
        )
        if certificate is not None:
            own = (certificate.default_topic, *certificate.topics)
            topics = tuple(dict.fromkeys(topic for topic in (*topics, *own) if topic))
            reader.lifetime(certificate, route.certificate.certificate, now)
            reader.environment(certificate, route)
    elif route.token:
        reader.token(route)
    if route.tls.ca:
        reader.authorities(route.tls.ca)
    if route.proxy_auth:
        reader.value(route.proxy_auth, "spec.proxy.auth")
    return RouteFacts(
        kind,
        topics[:64],
        certificate.not_before if certificate else None,
        certificate.not_after if certificate else None,
        tuple(reader.findings),
    )


def listener_findings(
    config: DispatcherConfig, secrets: Secrets, now: datetime
) -> tuple[tuple[Finding, ...], datetime | None]:
    """Check what a PushDomain itself needs of Secrets; also the end of its STARTTLS certificate."""
    reader = _Reader(f"PushDomain {config.name}", secrets)
    ends = None
    tls = config.listener.starttls
    if tls.certificate and tls.private_key:
        certificate = reader.certificate(tls.certificate, tls.private_key, "spec.listener.startTls")
        if certificate is not None:
            reader.lifetime(certificate, tls.certificate, now)
            ends = certificate.not_after
    if config.listener.auth:
        reader.users(config.listener.auth.secret)
    if config.passthru and config.passthru.auth:
        for key in ("username", "password"):
            reader.value(SecretKeyRef(secret=config.passthru.auth, key=key), "spec.passthru.authSecretName")
    return tuple(reader.findings), ends


class _Reader:
    """Reads Secrets on behalf of one object and collects what is wrong."""

    def __init__(self, owner: str, secrets: Secrets) -> None:
        self._owner = owner
        self._secrets = secrets
        self.findings: list[Finding] = []

    def _add(self, reason: Reason, secret: str, message: str, remedy: str, *, serves: bool = False) -> None:
        finding = Finding(reason, f"{self._owner}: {message}", remedy, secret, serves)
        if finding not in self.findings:
            self.findings.append(finding)

    def _missing(self, secret: str, field: str) -> None:
        self._add(
            Reason.SECRET_NOT_FOUND,
            secret,
            f"Secret {secret!r} ({field}) does not exist",
            f"create Secret {secret!r} in the same namespace, or name another one in {field}",
        )

    def value(self, ref: SecretKeyRef, field: str) -> bytes | None:
        """The value of a key, None (and a finding) where there is none."""
        secret = self._secrets.get(ref.secret)
        if secret is None:
            self._missing(ref.secret, field)
            return None
        if ref.key not in secret.data:
            self._add(
                Reason.KEY_MISSING,
                ref.secret,
                f"Secret {ref.secret!r} ({field}) has no key {ref.key!r}; it has {_listed(secret)}",
                f"add the key {ref.key!r} to Secret {ref.secret!r}, or name the right key in {field}",
            )
            return None
        return secret.data[ref.key]

    def certificate(
        self, certificate: SecretKeyRef, key: SecretKeyRef, field: str
    ) -> CertificateCredential | None:
        """A certificate with its key."""
        values = (self.value(certificate, field), self.value(key, field))
        if values[0] is None or values[1] is None:
            return None
        try:
            return load_certificate(values[0], values[1])
        except CredentialError as error:
            reason = Reason.KEY_MISMATCH if error.message.startswith(_MISMATCH) else Reason.MALFORMED
            keys = f"keys {certificate.key!r} and {key.key!r}"
            self._add(
                reason,
                certificate.secret,
                f"Secret {certificate.secret!r}, {keys}: {error.message}",
                error.remedy,
            )
            return None

    def lifetime(self, credential: CertificateCredential, ref: SecretKeyRef, now: datetime) -> None:
        """Whether the certificate's time is now."""
        where = f"Secret {ref.secret!r}, key {ref.key!r}"
        match credential.validity(now):
            case "expired":
                self._add(
                    Reason.EXPIRED,
                    ref.secret,
                    f"{where}: the certificate expired on {_day(credential.not_after)}",
                    "put a renewed certificate and its key into the Secret",
                    serves=True,
                )
            case "not-yet-valid":
                self._add(
                    Reason.NOT_YET_VALID,
                    ref.secret,
                    f"{where}: the certificate is not valid before {_day(credential.not_before)}",
                    "put the present certificate back until then, or check the clock of the issuer",
                    serves=True,
                )

    def environment(self, credential: CertificateCredential, route: RouteConfig) -> None:
        """Whether the certificate is for the environment that the route leads to."""
        assert route.certificate is not None
        ref = route.certificate.certificate
        if not credential.environments or route.environment is None:
            return
        if route.environment not in credential.environments:
            others = " and ".join(sorted(credential.environments))
            self._add(
                Reason.WRONG_ENVIRONMENT,
                ref.secret,
                f"Secret {ref.secret!r}, key {ref.key!r}: the certificate is for {others}, the route leads "
                f"to {route.environment}",
                f"set spec.environment to {others}, or put a certificate for {route.environment} into the "
                "Secret",
                serves=True,
            )

    def token(self, route: RouteConfig) -> TokenCredential | None:
        """A provider-token key with its ids."""
        assert route.token is not None
        refs = (route.token.private_key, route.token.key_id, route.token.team_id)
        values = [self.value(ref, "spec.token") for ref in refs]
        if values[0] is None or values[1] is None or values[2] is None:
            return None
        try:
            return load_token(values[0], values[1], values[2])
        except CredentialError as error:
            secret = route.token.private_key.secret
            self._add(Reason.MALFORMED, secret, f"Secret {secret!r}: {error.message}", error.remedy)
            return None

    def authorities(self, ref: SecretKeyRef) -> None:
        """Certificates of authorities."""
        value = self.value(ref, "spec.tls.ca")
        if value is None:
            return
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=value.decode("ascii"))
        except (ssl.SSLError, ValueError):
            self._add(
                Reason.MALFORMED,
                ref.secret,
                f"Secret {ref.secret!r}, key {ref.key!r}: this is not a PEM text of certificates",
                "put the authorities' certificates there (-----BEGIN CERTIFICATE-----)",
            )

    def users(self, name: str) -> None:
        """Names and passwords for AUTH."""
        field = "spec.listener.auth.secretName"
        secret = self._secrets.get(name)
        if secret is None:
            self._missing(name, field)
            return
        lines = secret.data.get("users", b"").decode("utf-8", "replace").splitlines()
        entries = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        for entry in entries:
            user, _, password = entry.partition(":")
            if not user or not password:
                self._add(
                    Reason.MALFORMED,
                    name,
                    f"Secret {name!r}, key 'users': a line is not NAME:PASSWORD",
                    "write one NAME:PASSWORD on each line",
                )
        if not entries and not {"username", "password"} <= secret.data.keys():
            self._add(
                Reason.KEY_MISSING,
                name,
                f"Secret {name!r} ({field}) names no user; it has {_listed(secret)}",
                "add the keys 'username' and 'password', or 'users' with NAME:PASSWORD lines",
            )


def _listed(secret: Secret) -> str:
    keys = sorted(secret.data)
    if not keys:
        return "none"
    return ", ".join(keys[:_LISTED]) + (", ..." if len(keys) > _LISTED else "")


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
