"""The one reader of Secrets: their contents -> what they are good for, and what is wrong with them. Pure.

Dispatcher, operator and command line all read Secrets here, so that all accept the same. No
message holds a byte of a Secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from tubepost_credentials.certificate import CertificateCredential, Environment, load_certificate
from tubepost_credentials.errors import CredentialError, Fault, Remark, Subject
from tubepost_credentials.pem import tidy
from tubepost_credentials.tls import load_authorities
from tubepost_credentials.token import TokenCredential, load_token

Secrets = Mapping[str, Mapping[str, bytes]]
"""The Secrets that exist: name -> key -> value."""

Use = Literal[
    "StartTls",
    "Users",
    "RelayAccount",
    "RelayAuthorities",
    "Certificate",
    "Token",
    "Authorities",
    "ProxyAccount",
]
"""What a Secret is for."""

EXPIRES_SOON = timedelta(weeks=4)
"""What is left of a certificate's lifetime when people should hear of it."""

_LISTED = 8
"""Keys of a Secret that a message names."""


class Reference(Protocol):
    """A Secret that an object refers to (`tubepost_api.references.SecretReference` is one)."""

    @property
    def use(self) -> Use:
        """What for."""

    @property
    def kind(self) -> str:
        """Kind of the object that refers."""

    @property
    def name(self) -> str:
        """Name of that object."""

    @property
    def field(self) -> str:
        """The object's field to correct where the reference is wrong."""

    @property
    def secret(self) -> str:
        """Name of the Secret."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the Secret, in the order in which the use has them (see `check`)."""

    @property
    def environment(self) -> Environment | None:
        """APNs' service that a certificate is to be used with; None: not known, or of no concern."""

    def missing(self, present: Collection[str]) -> Sequence[str]:
        """The keys that a Secret with the keys `present` lacks."""


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """Something wrong with a reference or with what it leads to.

    `kind`, `name` and `field` lead to the reference. `keys` of Secret `secret` are concerned, none: all of
    it. `text` continues a sentence that begins with the Secret, `remedy` is one without its full stop.
    """

    fault: Fault
    kind: str
    name: str
    field: str
    secret: str
    keys: tuple[str, ...]
    text: str
    remedy: str

    @property
    def message(self) -> str:
        """What is wrong with the Secret, for a context that names object and field already."""
        return self._sentence("")

    @property
    def full_message(self) -> str:
        """What is wrong, with the object that refers, and the field where a reference is wrong."""
        return f"{self.kind} {self.name}: {self._sentence(f' ({self.field})')}"

    def _sentence(self, field: str) -> str:
        if self.fault.of_reference:
            return f"Secret {self.secret!r}{field} {self.text}"
        return _of_secret(self.secret, self.keys, self.text)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the owner of a usable Secret should hear all the same. Fields as in `SecretFinding`."""

    subject: Subject
    kind: str
    name: str
    field: str
    secret: str
    keys: tuple[str, ...]
    text: str
    remedy: str

    @property
    def message(self) -> str:
        """What there is to say of the Secret, for a context that names object and field already."""
        return _of_secret(self.secret, self.keys, self.text)


def _of_secret(secret: str, keys: tuple[str, ...], text: str) -> str:
    named = " and ".join(map(repr, keys))
    where = f", key{'s' * (len(keys) > 1)} {named}" if keys else ""
    return f"Secret {secret!r}{where}: {text}"


@dataclass(frozen=True, slots=True)
class Material:
    """What the Secrets of one object hold, and all that is wrong with them.

    None: the object does not refer to such a thing, or it cannot be used. `certificate` is an ApnRoute's, or
    that of a PushDomain's listener; `authorities` are an ApnRoute's, or those for a PushDomain's relay.
    `users` are names and passwords; those that can be read are there even when others cannot.
    """

    certificate: CertificateCredential | None = None
    token: TokenCredential | None = None
    authorities: bytes | None = None
    proxy_account: str | None = field(default=None, repr=False)
    users: Mapping[str, str] | None = field(default=None, repr=False)
    relay_account: tuple[str, str] | None = field(default=None, repr=False)
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
        references: the object's. Their keys are: certificate and key (`Certificate`, `StartTls`); signing
            key, key id, team id (`Token`); certificates (`Authorities`, `RelayAuthorities`); `user:password`
            (`ProxyAccount`); user name and password (`RelayAccount`, `Users`). For `Users` there may be the
            key `users`, too.
        secrets: the Secrets that exist.
        now: aware, or unix seconds: certificates have to be valid then. None: that is not checked.
    """
    reader = _Reader(secrets, now)
    for reference in references:
        reader.read(reference)
    return Material(
        certificate=reader.certificate,
        token=reader.token,
        authorities=reader.authorities,
        proxy_account=reader.proxy_account,
        users=reader.users,
        relay_account=reader.relay_account,
        findings=tuple(dict.fromkeys(reader.findings)),
        notices=tuple(dict.fromkeys(reader.notices)),
    )


class _Reader:
    """Reads the Secrets of one object, and collects what is wrong instead of raising."""

    def __init__(self, secrets: Secrets, now: datetime | float | None) -> None:
        self._secrets = secrets
        self._now = now
        self.certificate: CertificateCredential | None = None
        self.token: TokenCredential | None = None
        self.authorities: bytes | None = None
        self.proxy_account: str | None = None
        self.users: Mapping[str, str] | None = None
        self.relay_account: tuple[str, str] | None = None
        self.findings: list[SecretFinding] = []
        self.notices: list[Notice] = []

    def read(self, reference: Reference) -> None:
        """Read the Secret of a reference."""
        secret = self._secrets.get(reference.secret)
        if reference.use == "Users":
            self.users = dict(self._read_users(reference, secret))
            return
        values = self._values(reference, secret)
        if values is None:
            return
        match reference.use:
            case "Certificate" | "StartTls":
                self._read_certificate(reference, values)
            case "Token":
                self._read_token(reference, values)
            case "Authorities" | "RelayAuthorities":
                self._read_authorities(reference, values)
            case "ProxyAccount":
                self.proxy_account = _text(values[0]).strip()
            case "RelayAccount":
                self.relay_account = _account(values)

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

    def _read_certificate(self, reference: Reference, values: list[bytes]) -> None:
        side: Literal["client", "server"] = "server" if reference.use == "StartTls" else "client"
        try:
            self.certificate = load_certificate(
                values[0], values[1], side=side, now=self._now, environment=reference.environment
            )
        except CredentialError as error:
            self._add(error.fault, reference, reference.keys, error.message, error.remedy)
            return
        self._remark(reference, self.certificate.remarks)
        self._check_lifetime(reference, self.certificate)
        self._check_environment(reference, self.certificate)

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

    def _read_token(self, reference: Reference, values: list[bytes]) -> None:
        try:
            self.token = load_token(values[0], values[1], values[2])
        except CredentialError as error:
            self._add(error.fault, reference, (), error.message, error.remedy)
        else:
            self._remark(reference, self.token.remarks)

    def _read_authorities(self, reference: Reference, values: list[bytes]) -> None:
        pem, untidy = tidy(values[0])
        try:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)
        except CredentialError as error:
            self._add(error.fault, reference, reference.keys, error.message, error.remedy)
        else:
            self.authorities = pem
            if untidy:
                remedy = "put the certificates there as a file"
                self._remark(reference, [Remark("Untidy", 0, f"the text has {untidy}", remedy)])

    def _read_users(
        self, reference: Reference, secret: Mapping[str, bytes] | None
    ) -> Iterator[tuple[str, str]]:
        if secret is None:
            self._not_found(reference)
            return
        lines = [line.strip() for line in _text(secret.get("users", b"")).splitlines()]
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
            yield _account(account)


def _account(values: Sequence[bytes]) -> tuple[str, str]:
    # What a file ends with is not meant; a blank in a password is.
    return _text(values[0]).strip(), _text(values[1]).rstrip("\r\n")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _listed(secret: Mapping[str, bytes]) -> str:
    keys = sorted(secret)
    return (", ".join(keys[:_LISTED]) + (", ..." if len(keys) > _LISTED else "")) or "none"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
