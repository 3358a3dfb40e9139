"""What is found out about credentials, in the words of conditions. Pure.

Secrets themselves are read by `tubepost_credentials`. Messages name object, key and remedy; none holds a byte
of a Secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from tubepost_api.conditions import Reason
from tubepost_api.config import DispatcherConfig, RouteConfig
from tubepost_api.config_logger import LoggerConfig
from tubepost_credentials import Fault
from tubepost_credentials import secrets as reader
from tubepost_operator.observed import Secret

Secrets = Mapping[str, Secret]
"""The Secrets that exist, by name."""

REASONS: Final[Mapping[Fault, Reason]] = {
    Fault.SECRET_NOT_FOUND: Reason.SECRET_NOT_FOUND,
    Fault.KEY_MISSING: Reason.KEY_MISSING,
    Fault.MALFORMED: Reason.MALFORMED,
    Fault.KEY_MISMATCH: Reason.KEY_MISMATCH,
    Fault.EXPIRED: Reason.EXPIRED,
    Fault.NOT_YET_VALID: Reason.NOT_YET_VALID,
    Fault.WRONG_ENVIRONMENT: Reason.WRONG_ENVIRONMENT,
}
"""The reason that a condition has for each fault."""

_MOST_TOPICS = 64


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
        end = "" if self.remedy.endswith("?") else "."
        return f"{self.message}. Remedy: {self.remedy}{end}"

    @property
    def of_reference(self) -> bool:
        """Whether a reference is wrong, not what it leads to."""
        return self.reason in {Reason.SECRET_NOT_FOUND, Reason.KEY_MISSING}


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """What is known of a route's credential, and all that is wrong with it."""

    kind: Literal["Certificate", "Token"]
    topics: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    findings: tuple[Finding, ...] = ()


def route_facts(route: RouteConfig, secrets: Secrets, now: datetime) -> CredentialFacts:
    """Check everything that a route needs of Secrets."""
    material = reader.check(route.references(), _contents(secrets), now)
    topics: list[str | None] = [route.topic]
    certificate = material.certificate
    if certificate is not None:
        topics += [certificate.default_topic, *certificate.topics]
    return CredentialFacts(
        "Certificate" if route.certificate else "Token",
        tuple(dict.fromkeys(topic for topic in topics if topic))[:_MOST_TOPICS],
        certificate.not_before if certificate else None,
        certificate.not_after if certificate else None,
        _findings(material),
    )


def own_findings(
    config: DispatcherConfig, secrets: Secrets, now: datetime
) -> tuple[tuple[Finding, ...], tuple[datetime, ...]]:
    """Check what a PushDomain itself needs of Secrets; also the ends of its listeners' certificates."""
    material = reader.check(config.references(), _contents(secrets), now)
    certificates = (material.certificate, material.rest_certificate)
    return _findings(material), tuple(item.not_after for item in certificates if item is not None)


def logger_findings(logger: LoggerConfig, secrets: Secrets, now: datetime) -> tuple[Finding, ...]:
    """Check everything that a logger needs of Secrets."""
    return _findings(reader.check(logger.references(), _contents(secrets), now))


def _contents(secrets: Secrets) -> reader.Secrets:
    return {name: secret.data for name, secret in secrets.items()}


def _findings(material: reader.Material) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            REASONS[finding.fault],
            finding.full_message,
            finding.remedy,
            finding.secret,
            finding.fault.serves,
        )
        for finding in material.findings
    )
