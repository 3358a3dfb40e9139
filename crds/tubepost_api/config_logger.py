"""The part of the compiled document that is about loggers."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Literal

from tubepost_api.compiled import Compiled, SecretKeyRef, later
from tubepost_api.references import SecretReference


class FileSink(Compiled):
    """A log file. `mode` is its permission bits; rotation by size, `max_size` 0 means never."""

    path: str
    mode: int = 0o644
    max_size: int = 100 * 1024 * 1024
    max_files: int = 5


class WebhookConfig(Compiled):
    """An HTTP endpoint that takes events in batches. Times in seconds, sizes in bytes.

    `authorization` holds the value of the header field of that name, `signature` the key of the HMAC, `ca`
    the authorities to trust; None: no such header, and the system's trust store.
    """

    url: str
    authorization: SecretKeyRef | None = None
    signature: SecretKeyRef | None = None
    ca: SecretKeyRef | None = None
    verify: bool = True
    timeout: float = 10.0
    """For one request, its answer included."""
    batch_size: int = 100
    """Most events of one request."""
    batch_interval: float = 1.0
    """Longest wait for a batch to fill."""
    max_retry_interval: float = 300.0
    """Longest wait between two attempts."""
    max_events: int = 10_000
    """Most events that wait, per worker."""
    max_size: int = 16 * 1024 * 1024
    """Most bytes of events that wait, per worker."""

    def references(self, name: str) -> Iterator[SecretReference]:
        """The Secrets that the webhook of ApnLogger `name` needs."""
        if self.authorization is not None:
            key = self.authorization
            yield SecretReference("WebhookAuthorization", name, key.secret, (key.key,))
        if self.signature is not None:
            yield SecretReference("WebhookSignature", name, self.signature.secret, (self.signature.key,))
        if self.ca is not None:
            yield SecretReference("WebhookAuthorities", name, self.ca.secret, (self.ca.key,))


class LoggedOutcome(enum.StrEnum):
    """An outcome, as a filter names it."""

    DELIVERED = "Delivered"
    PERMANENT = "Permanent"
    TRANSIENT = "Transient"


class FilterConfig(Compiled):
    """Which events a logger takes; an empty tuple: all of them."""

    outcomes: tuple[LoggedOutcome, ...] = ()
    reasons: tuple[str, ...] = ()
    dead_tokens: bool = False
    """Only what tells of a device token that APNs knows no more."""


class LoggerFormats(Compiled):
    """The four format strings (Momentum's apn_logger defaults)."""

    delivery: str = '%t@D@%i@"%sa"@"%da"@%d@%g@%b@%H@%B@%ti'
    permfail: str = "%t@P@%i@%sa@%da@%d@%g@%b@%H@%S@%e"
    tempfail: str = '%t@T@%i@"%sa"@"%da"@%d@%g@%b@%H@%B@%ti@%S@%e'
    heartbeat: str = "%t@M"


class LoggerConfig(Compiled):
    """One ApnLogger. Without `file` and `webhook`: standard output. `heartbeat` in seconds, 0 means none."""

    name: str
    file: FileSink | None = None
    format: Literal["Momentum", "Json"] = "Momentum"
    formats: LoggerFormats = LoggerFormats()
    heartbeat: float = 60.0
    log_delivery: bool = True
    log_permfail: bool = True
    log_tempfail: bool = True
    webhook: WebhookConfig | None = later(None)
    filter: FilterConfig = later(FilterConfig())
    compatibility: Literal["Tubepost", "Momentum"] = later("Tubepost")
    """Meaning and escaping of the macros of format Momentum."""

    def references(self) -> Iterator[SecretReference]:
        """The Secrets that the logger needs."""
        if self.webhook is not None:
            yield from self.webhook.references(self.name)
