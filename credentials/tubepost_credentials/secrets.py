"""The one reader of Secrets: their contents -> what they are good for, and what is wrong with them. Pure.

Dispatcher, operator and command line all read Secrets here, so that all accept the same. No
message holds a byte of a Secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from tubepost_credentials import words
from tubepost_credentials.certificate import CertificateCredential, load_certificate
from tubepost_credentials.errors import CredentialError, Fault, Remark
from tubepost_credentials.findings import Notice, Reference, SecretFinding, Secrets, Use
from tubepost_credentials.nkey import NkeyCredential, load_nats_file, load_nkey
from tubepost_credentials.pem import tidy
from tubepost_credentials.tls import load_authorities
from tubepost_credentials.token import TokenCredential, load_token

__all__ = [
    "EXPIRES_SOON",
    "Material",
    "Notice",
    "Reference",
    "SecretFinding",
    "Secrets",
    "Use",
    "check",
]

EXPIRES_SOON = timedelta(weeks=4)
"""What is left of a certificate's lifetime when people should hear of it."""

_Word = TypeVar("_Word")

_LISTED = 8
"""Keys of a Secret that a message names."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the Secrets of one object hold, and all that is wrong with them.

    None: the object does not refer to such a thing, or it cannot be used. `certificate` is an ApnRoute's, or
    that of a PushDomain's SMTP listener; `authorities` are an ApnRoute's, those for a PushDomain's relay for
    what is not a push, or those for an ApnLogger's webhook. `users` are names and passwords, `rest_tokens`
    clients and their bearer tokens; those that can be read are there even when others cannot.
    """

    certificate: CertificateCredential | None = None
    token: TokenCredential | None = None
    authorities: bytes | None = field(default=None, repr=False)
    proxy_account: str | None = field(default=None, repr=False)
    users: Mapping[str, str] | None = field(default=None, repr=False)
    relay_account: tuple[str, str] | None = field(default=None, repr=False)
    bounce_account: tuple[str, str] | None = field(default=None, repr=False)
    bounce_authorities: bytes | None = field(default=None, repr=False)
    rest_certificate: CertificateCredential | None = None
    rest_tokens: Mapping[str, str] | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    """Whole value of the header field, of a webhook."""
    signing_key: bytes | None = field(default=None, repr=False)
    """Of the HMAC of a webhook's requests."""
    jet_stream_key: NkeyCredential | None = None
    """Of a user of NATS, with its JWT where there is one."""
    jet_stream_account: tuple[str, str] | None = field(default=None, repr=False)
    jet_stream_authorities: bytes | None = field(default=None, repr=False)
    jet_stream_certificate: CertificateCredential | None = None
    findings: tuple[SecretFinding, ...] = ()
    notices: tuple[Notice, ...] = ()
    """What the owner should hear although everything can be used."""

    @property
    def complete(self) -> bool:
        """Whether everything could be read."""
        return all(finding.fault.serves for finding in self.findings)


def check(references: Iterable[Reference], secrets: Secrets, now: datetime | float | None = None) -> Material:
    """Read and check all that one object refers to.

    Args:
        references: the object's. Their keys are: certificate and key (`Certificate`, `StartTls`, `RestTls`,
            `JetStreamCertificate`);
            signing key, key id, team id (`Token`); certificates (those whose use ends with `Authorities`);
            `user:password` (`ProxyAccount`); user name and password (`RelayAccount`, `BounceRelayAccount`,
            `JetStreamAccount`, `Users`); one key (`WebhookAuthorization`, `WebhookSignature`,
            `JetStreamCredentials`, `JetStreamNkey`). For `Users` there may be the key
            `users`, too; for `RestTokens` every key of the Secret is a client's name.
        secrets: the Secrets that exist.
        now: aware, or unix seconds: certificates have to be valid then. None: that is not checked.
    """
    reader = _Reader(secrets, now)
    for reference in references:
        reader.read(reference)
    return replace(
        reader.material,
        findings=tuple(dict.fromkeys(reader.findings)),
        notices=tuple(dict.fromkeys(reader.notices)),
    )


class _Reader:
    """Reads the Secrets of one object, and collects what is wrong instead of raising."""

    def __init__(self, secrets: Secrets, now: datetime | float | None) -> None:
        self._secrets = secrets
        self._now = now
        self.material = Material()
        self.findings: list[SecretFinding] = []
        self.notices: list[Notice] = []

    def read(self, reference: Reference) -> None:
        """Read the Secret of a reference."""
        secret = self._secrets.get(reference.secret)
        match reference.use:
            case "Users":
                self._keep(users=dict(self._read_users(reference, secret)))
                return
            case "RestTokens":
                self._keep(rest_tokens=self._read_tokens(reference, secret))
                return
        values = self._values(reference, secret)
        if values is None:
            return
        match reference.use:
            case "Certificate" | "StartTls":
                self._keep(certificate=self._read_certificate(reference, values))
            case "RestTls":
                self._keep(rest_certificate=self._read_certificate(reference, values))
            case "Token":
                self._keep(token=self._read_token(reference, values))
            case "Authorities" | "RelayAuthorities" | "WebhookAuthorities":
                self._keep(authorities=self._read_authorities(reference, values))
            case "BounceRelayAuthorities":
                self._keep(bounce_authorities=self._read_authorities(reference, values))
            case "ProxyAccount":
                self._keep(proxy_account=words.text(values[0]).strip())
            case "RelayAccount":
                self._keep(relay_account=words.account(values))
            case "BounceRelayAccount":
                self._keep(bounce_account=words.account(values))
            case "JetStreamCredentials":
                self._keep(jet_stream_key=self._read_nats_file(reference, values[0]))
            case "JetStreamNkey":
                self._keep(jet_stream_key=self._read_word(reference, values[0], load_nkey))
            case "JetStreamAccount":
                self._keep(jet_stream_account=words.account(values))
            case "JetStreamAuthorities":
                self._keep(jet_stream_authorities=self._read_authorities(reference, values))
            case "JetStreamCertificate":
                self._keep(jet_stream_certificate=self._read_certificate(reference, values))
            case "WebhookAuthorization":
                self._keep(authorization=self._read_word(reference, values[0], words.authorization))
            case "WebhookSignature":
                self._keep(signing_key=self._read_word(reference, values[0], words.signing_key))

    def _keep(self, **what: Any) -> None:
        self.material = replace(self.material, **what)

    def _add(self, fault: Fault, reference: Reference, keys: tuple[str, ...], text: str, remedy: str) -> None:
        where = (reference.kind, reference.name, reference.field, reference.secret)
        self.findings.append(SecretFinding(fault, *where, keys, text, remedy))

    def _not_found(self, reference: Reference) -> None:
        self._add(
            Fault.SECRET_NOT_FOUND,
            reference,
            (),
            "does not exist",
            f"create Secret {reference.secret!r} in the same namespace, or name another one in "
            f"{reference.field}",
        )

    def _lacks(self, reference: Reference, secret: Mapping[str, bytes]) -> bool:
        """Whether keys are missing; each is a finding."""
        missing = reference.missing(secret)
        for key in missing:
            self._add(
                Fault.KEY_MISSING,
                reference,
                (key,),
                f"has no key {key!r}; it has {_listed(secret)}",
                f"add the key {key!r} to Secret {reference.secret!r}, or name the right key in "
                f"{reference.field}",
            )
        return bool(missing)

    def _values(self, reference: Reference, secret: Mapping[str, bytes] | None) -> list[bytes] | None:
        if secret is None:
            self._not_found(reference)
            return None
        return None if self._lacks(reference, secret) else [secret[key] for key in reference.keys]

    def _read_certificate(self, reference: Reference, values: list[bytes]) -> CertificateCredential | None:
        side: Literal["client", "server"] = "client" if reference.use == "Certificate" else "server"
        try:
            certificate = load_certificate(
                values[0], values[1], side=side, now=self._now, environment=reference.environment
            )
        except CredentialError as error:
            self._add(error.fault, reference, reference.keys, error.message, error.remedy)
            return None
        self._remark(reference, certificate.remarks)
        self._check_lifetime(reference, certificate)
        self._check_environment(reference, certificate)
        return certificate

    def _remark(self, reference: Reference, remarks: Iterable[Remark]) -> None:
        where = (reference.kind, reference.name, reference.field, reference.secret)
        for remark in remarks:
            keys = (reference.keys[remark.part],)
            self.notices.append(Notice(remark.subject, *where, keys, remark.message, remark.remedy))

    def _check_lifetime(self, reference: Reference, certificate: CertificateCredential) -> None:
        if self._now is None:
            return
        match certificate.validity(self._now):
            case "valid":
                self._check_rest(reference, certificate.not_after, self._now)
            case "expired":
                self._add(
                    Fault.EXPIRED,
                    reference,
                    reference.keys[:1],
                    f"the certificate expired on {_day(certificate.not_after)}",
                    "put a renewed certificate and its key into the Secret",
                )
            case "not-yet-valid":
                self._add(
                    Fault.NOT_YET_VALID,
                    reference,
                    reference.keys[:1],
                    f"the certificate is not valid before {_day(certificate.not_before)}",
                    "put the present certificate back until then, or check the clock of the issuer",
                )

    def _check_rest(self, reference: Reference, end: datetime, now: datetime | float) -> None:
        left = end - (now if isinstance(now, datetime) else datetime.fromtimestamp(now, UTC))
        if left >= EXPIRES_SOON:
            return
        days = "1 day" if left.days == 1 else f"{left.days} days" if left.days else "less than a day"
        message = f"the certificate expires on {_day(end)}, in {days}"
        remedy = "put a renewed certificate and its key into the Secret before then"
        self._remark(reference, [Remark("ExpiresSoon", 0, message, remedy)])

    def _check_environment(self, reference: Reference, certificate: CertificateCredential) -> None:
        wanted = reference.environment
        if wanted is None or not certificate.environments or wanted in certificate.environments:
            return
        others = " and ".join(sorted(certificate.environments))
        self._add(
            Fault.WRONG_ENVIRONMENT,
            reference,
            reference.keys[:1],
            f"the certificate is for {others}, the route leads to {wanted}",
            f"set spec.environment to {others}, or put a certificate for {wanted} into the Secret",
        )

    def _read_token(self, reference: Reference, values: list[bytes]) -> TokenCredential | None:
        try:
            token = load_token(values[0], values[1], values[2])
        except CredentialError as error:
            self._add(error.fault, reference, (), error.message, error.remedy)
            return None
        self._remark(reference, token.remarks)
        return token

    def _read_authorities(self, reference: Reference, values: list[bytes]) -> bytes | None:
        pem, untidy = tidy(values[0])
        try:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)
        except CredentialError as error:
            self._add(error.fault, reference, reference.keys, error.message, error.remedy)
            return None
        if untidy:
            remedy = "put the certificates there as a file"
            self._remark(reference, [Remark("Untidy", 0, f"the text has {untidy}", remedy)])
        return pem

    def _read_word(self, reference: Reference, value: bytes, read: Callable[[bytes], _Word]) -> _Word | None:
        try:
            return read(value)
        except CredentialError as error:
            self._add(error.fault, reference, reference.keys, error.message, error.remedy)
            return None

    def _read_nats_file(self, reference: Reference, value: bytes) -> NkeyCredential | None:
        credential = self._read_word(reference, value, load_nats_file)
        if credential is None or credential.not_after is None or self._now is None:
            return credential
        end = datetime.fromtimestamp(credential.not_after, UTC)
        now = self._now if isinstance(self._now, datetime) else datetime.fromtimestamp(self._now, UTC)
        remedy = "put a new credentials file into the Secret"
        if end <= now:
            text = f"the JWT of the user ended on {_day(end)}"
            self._add(Fault.EXPIRED, reference, reference.keys, text, remedy)
        elif end - now < EXPIRES_SOON:
            text = f"the JWT of the user ends on {_day(end)}"
            self._remark(reference, [Remark("ExpiresSoon", 0, text, remedy)])
        return credential

    def _read_tokens(self, reference: Reference, secret: Mapping[str, bytes] | None) -> Mapping[str, str]:
        if secret is None:
            self._not_found(reference)
            return {}
        if not secret:
            self._add(
                Fault.KEY_MISSING,
                reference,
                (),
                "names no client",
                "add a key for each client: the key is its name, the value its token",
            )
        tokens, refused = words.bearer_tokens(secret)
        for client, error in refused:
            self._add(error.fault, reference, client, error.message, error.remedy)
        return tokens

    def _read_users(
        self, reference: Reference, secret: Mapping[str, bytes] | None
    ) -> Iterator[tuple[str, str]]:
        if secret is None:
            self._not_found(reference)
            return
        lines = [line.strip() for line in words.text(secret.get("users", b"")).splitlines()]
        entries = [line for line in lines if line and not line.startswith("#")]
        for entry in entries:
            user, _, password = entry.partition(":")
            if user and password:
                yield user, password
            else:
                self._add(
                    Fault.MALFORMED,
                    reference,
                    ("users",),
                    "a line is not NAME:PASSWORD",
                    "write one NAME:PASSWORD on each line",
                )
        account = [secret[key] for key in reference.keys if key in secret]
        if not entries and not account:
            self._add(
                Fault.KEY_MISSING,
                reference,
                (),
                f"names no user; it has {_listed(secret)}",
                "add the keys 'username' and 'password', or 'users' with NAME:PASSWORD lines",
            )
        elif account and not self._lacks(reference, secret):
            yield words.account(account)


def _listed(secret: Mapping[str, bytes]) -> str:
    keys = sorted(secret)
    return (", ".join(keys[:_LISTED]) + (", ..." if len(keys) > _LISTED else "")) or "none"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
